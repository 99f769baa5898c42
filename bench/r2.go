package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// R2 is what the bare runtime needs from fork and exec to its first answer,
// with nothing around it: no sandbox, no code to unpack, no API in front.

// replyTo takes the one reply of an exchange.
type replyTo chan []byte

func (r replyTo) Write(b []byte) (int, error) {
	r <- bytes.Clone(b)
	return len(b), nil
}

// bareStart starts argv, has it answer event once, and ends it.
func bareStart(argv []string, event []byte) (wall, cpu time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var f floor
	reply := make(replyTo, 1)
	start := time.Now()
	f.invoke(&exchange{event: event, to: reply})
	e, err := f.startEnvironment(argv, false)
	if err != nil {
		return 0, 0, err
	}
	select {
	case b := <-reply:
		wall = time.Since(start)
		if !bytes.HasSuffix(b, event) {
			err = fmt.Errorf("R2 answered %q", b)
		}
	case <-time.After(replyLimit):
		err = errors.New("R2 did not answer")
	}
	return wall, e.stop(), err
}
