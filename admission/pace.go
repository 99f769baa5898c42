package admission

import (
	"sync/atomic"
	"time"
)

// pace bounds a rate: so many a second, of which a whole second's worth may come
// at once. It is one number, the time at which what has been let through would
// be due at an even pace (the generic cell rate algorithm, ITU-T I.371): it may
// lie a second ahead of now. The zero value lets a second's worth through.
type pace struct{ due atomic.Int64 } // Unix nanoseconds

// allow lets one through at now, or tells how long until it would.
func (p *pace) allow(now time.Time, perSecond int) (wait time.Duration, ok bool) {
	if perSecond <= 0 {
		return time.Second, false
	}
	each, at := int64(time.Second)/int64(perSecond), now.UnixNano()
	for {
		was := p.due.Load()
		next := max(was, at) + each
		if ahead := next - at; ahead > int64(time.Second) {
			return time.Duration(ahead - int64(time.Second)), false
		}
		if p.due.CompareAndSwap(was, next) {
			return 0, true
		}
	}
}
