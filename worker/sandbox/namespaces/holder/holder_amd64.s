# The two small programs of a sandbox, for x86-64. They are code without an ELF
# header and without fixed addresses; the driver puts a header before them and
# the seccomp filter after them, and starts the whole from memory.
#
# argv[0] "holder": the first process of the process namespace. It mounts
# procfs on ./proc, which only a process inside the namespace can; becomes user
# 65534 without capabilities (which also makes it undumpable: nobody inside reads
# its descriptors); ignores SIGCHLD, so that the orphans it inherits are reaped;
# closes all but descriptors 0 and 1; writes one byte to 1, closes it, and reads
# 0 for ever. That is a pipe from the server: when the server ends, however it
# ends, the read returns, this process ends, and the kernel kills all others.
#
# argv[0] "gate", argv[1] the digit of a descriptor: it sets limits, gives up
# capabilities and the hope of new ones, marks that descriptor and all above it
# close-on-exec, takes on the filter, and becomes argv[2] with the arguments that
# follow. If it cannot, it writes {errno, step} as two 32-bit integers to the
# descriptor. Steps: 1 prlimit, 2 capset, 3 no_new_privs, 4 close_range,
# 5 seccomp, 6 execve.
#
# See Makefile for how the .bin files are made.
	.globl _start
	.text
_start:
	mov 8(%rsp), %rax
	cmpb $'h', (%rax)
	jne gate

	mov $165, %eax			# mount("proc", "proc", "proc", NOSUID|NODEV|NOEXEC, 0)
	lea proc(%rip), %rdi
	mov %rdi, %rsi
	mov %rdi, %rdx
	mov $14, %r10d
	xor %r8d, %r8d
	syscall
	test %rax, %rax
	jnz fail
	mov $13, %eax			# rt_sigaction(SIGCHLD, {SIG_IGN}, 0, 8)
	mov $17, %edi
	lea ignore(%rip), %rsi
	xor %edx, %edx
	mov $8, %r10d
	syscall
	test %rax, %rax
	jnz fail
	mov $116, %eax			# setgroups(0, 0)
	xor %edi, %edi
	xor %esi, %esi
	syscall
	test %rax, %rax
	jnz fail
	mov $119, %eax			# setresgid(65534, 65534, 65534)
	mov $65534, %edi
	mov %edi, %esi
	mov %edi, %edx
	syscall
	test %rax, %rax
	jnz fail
	mov $117, %eax			# setresuid(65534, 65534, 65534)
	mov $65534, %edi
	mov %edi, %esi
	mov %edi, %edx
	syscall
	test %rax, %rax
	jnz fail
	mov $436, %eax			# close_range(2, ~0, 0)
	mov $2, %edi
	mov $-1, %esi
	xor %edx, %edx
	syscall
	test %rax, %rax
	jnz fail
	mov $1, %eax			# write(1, "p", 1)
	mov $1, %edi
	lea proc(%rip), %rsi
	mov $1, %edx
	syscall
	mov $3, %eax			# close(1)
	mov $1, %edi
	syscall
hold:
	xor %eax, %eax			# read(0, stack, 1)
	xor %edi, %edi
	lea -64(%rsp), %rsi
	mov $1, %edx
	syscall
	cmp $-4, %rax			# EINTR
	je hold
	xor %edi, %edi
	jmp exit
fail:
	neg %eax
	mov %eax, %edi
exit:
	mov $231, %eax			# exit_group
	syscall

gate:
	mov 16(%rsp), %rax
	movzbl (%rax), %r12d
	sub $'0', %r12d			# the descriptor
	mov $1, %ebx			# the step
	mov $302, %eax			# prlimit64(0, RLIMIT_NOFILE, {1024, 1024}, 0)
	xor %edi, %edi
	mov $7, %esi
	lea files(%rip), %rdx
	xor %r10d, %r10d
	syscall
	test %rax, %rax
	jnz refuse
	mov $302, %eax			# prlimit64(0, RLIMIT_CORE, {0, 0}, 0)
	xor %edi, %edi
	mov $4, %esi
	lea none(%rip), %rdx
	xor %r10d, %r10d
	syscall
	test %rax, %rax
	jnz refuse
	mov $302, %eax			# prlimit64(0, RLIMIT_STACK, {8 MiB, 8 MiB}, 0)
	xor %edi, %edi			# which fails, and need not succeed, where
	mov $3, %esi			# the server has less
	lea stack(%rip), %rdx
	xor %r10d, %r10d
	syscall
	inc %ebx
	mov $126, %eax			# capset(version 3, none)
	lea version(%rip), %rdi
	lea none(%rip), %rsi
	syscall
	test %rax, %rax
	jnz refuse
	inc %ebx
	mov $157, %eax			# prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	mov $38, %edi
	mov $1, %esi
	xor %edx, %edx
	xor %r10d, %r10d
	xor %r8d, %r8d
	syscall
	test %rax, %rax
	jnz refuse
	inc %ebx
	mov $436, %eax			# close_range(descriptor, ~0, CLOSE_RANGE_CLOEXEC)
	mov %r12d, %edi
	mov $-1, %esi
	mov $4, %edx
	syscall
	test %rax, %rax
	jnz refuse
	inc %ebx
	lea filter(%rip), %rax		# struct sock_fprog on the stack
	mov %rax, -8(%rsp)
	mov count(%rip), %rax
	mov %rax, -16(%rsp)
	mov $317, %eax			# seccomp(SECCOMP_SET_MODE_FILTER, 0, prog)
	mov $1, %edi
	xor %esi, %esi
	lea -16(%rsp), %rdx
	syscall
	test %rax, %rax
	jnz refuse
	inc %ebx
	mov (%rsp), %rcx		# argc
	mov 24(%rsp), %rdi		# argv[2]
	lea 24(%rsp), %rsi		# argv + 2
	lea 16(%rsp,%rcx,8), %rdx	# envp
	mov $59, %eax			# execve
	syscall
refuse:
	neg %eax
	mov %eax, -8(%rsp)
	mov %ebx, -4(%rsp)
	mov $1, %eax			# write(descriptor, {errno, step}, 8)
	mov %r12d, %edi
	lea -8(%rsp), %rsi
	mov $8, %edx
	syscall
	mov $127, %edi
	jmp exit

proc:	.asciz "proc"
	.balign 8
ignore:	.quad 1, 0, 0, 0
files:	.quad 1024, 1024
stack:	.quad 8388608, 8388608
version: .long 0x20080522, 0
none:	.quad 0, 0, 0
count:	.quad 0			# instructions of the filter; the driver sets it
filter:
