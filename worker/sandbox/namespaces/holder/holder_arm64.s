// The two small programs of a sandbox, for 64-bit ARM. They do what
// holder_amd64.s describes, step for step.
	.globl _start
	.text
_start:
	ldr x0, [sp, #8]
	ldrb w0, [x0]
	cmp w0, #'h'
	b.ne gate

	adr x0, proc			// mount
	mov x1, x0
	mov x2, x0
	mov x3, #14
	mov x4, #0
	mov x8, #40
	svc #0
	cbnz x0, fail
	mov x0, #17			// rt_sigaction
	adr x1, ignore
	mov x2, #0
	mov x3, #8
	mov x8, #134
	svc #0
	cbnz x0, fail
	mov x0, #0			// setgroups
	mov x1, #0
	mov x8, #159
	svc #0
	cbnz x0, fail
	mov x0, #65534			// setresgid
	mov x1, x0
	mov x2, x0
	mov x8, #149
	svc #0
	cbnz x0, fail
	mov x0, #65534			// setresuid
	mov x1, x0
	mov x2, x0
	mov x8, #147
	svc #0
	cbnz x0, fail
	mov x0, #2			// close_range
	mov w1, #-1
	mov x2, #0
	mov x8, #436
	svc #0
	cbnz x0, fail
	mov x0, #1			// write
	adr x1, proc
	mov x2, #1
	mov x8, #64
	svc #0
	mov x0, #1			// close
	mov x8, #57
	svc #0
hold:
	mov x0, #0			// read
	sub x1, sp, #64
	mov x2, #1
	mov x8, #63
	svc #0
	cmn x0, #4			// EINTR
	b.eq hold
	mov x0, #0
	b exit
fail:
	neg x0, x0
exit:
	mov x8, #94			// exit_group
	svc #0

gate:
	ldr x0, [sp, #16]
	ldrb w20, [x0]
	sub w20, w20, #'0'		// the descriptor
	mov w21, #1			// the step
	mov x0, #0			// prlimit64
	mov x1, #7
	adr x2, files
	mov x3, #0
	mov x8, #261
	svc #0
	cbnz x0, refuse
	mov x0, #0			// prlimit64
	mov x1, #4
	adr x2, none
	mov x3, #0
	mov x8, #261
	svc #0
	cbnz x0, refuse
	mov x0, #0			// prlimit64
	mov x1, #3
	adr x2, stack
	mov x3, #0
	mov x8, #261
	svc #0
	add w21, w21, #1
	adr x0, version			// capset
	adr x1, none
	mov x8, #91
	svc #0
	cbnz x0, refuse
	add w21, w21, #1
	mov x0, #38			// prctl
	mov x1, #1
	mov x2, #0
	mov x3, #0
	mov x4, #0
	mov x8, #167
	svc #0
	cbnz x0, refuse
	add w21, w21, #1
	mov w0, w20			// close_range
	mov w1, #-1
	mov x2, #4
	mov x8, #436
	svc #0
	cbnz x0, refuse
	add w21, w21, #1
	adr x0, filter			// seccomp
	ldr x1, count
	stp x1, x0, [sp, #-16]
	mov x0, #1
	mov x1, #0
	sub x2, sp, #16
	mov x8, #277
	svc #0
	cbnz x0, refuse
	add w21, w21, #1
	ldr x9, [sp]			// execve
	ldr x0, [sp, #24]
	add x1, sp, #24
	add x2, sp, x9, lsl #3
	add x2, x2, #16
	mov x8, #221
	svc #0
refuse:
	neg w0, w0
	stp w0, w21, [sp, #-8]
	mov w0, w20			// write
	sub x1, sp, #8
	mov x2, #8
	mov x8, #64
	svc #0
	mov x0, #127
	b exit

proc:	.asciz "proc"
	.balign 8
ignore:	.quad 1, 0, 0, 0
files:	.quad 1024, 1024
stack:	.quad 8388608, 8388608
version: .long 0x20080522, 0
none:	.quad 0, 0, 0
count:	.quad 0
filter:
