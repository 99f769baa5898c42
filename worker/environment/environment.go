// Package environment is the life of one execution environment, as a pure
// machine without hands: Step takes what happened and says what is to be done.
// It reads no clock, holds no lock and starts nothing. Package runtimeapi owns
// one Machine per set of processes and steps it under its lock; package worker
// performs the actions.
//
//	         next        invoke         response, error
//	Starting ────▶ Idle ────────▶ Busy ────────────────▶ Answering
//	               ▲ │             ▲ ▲ │                     │
//	               │ └──▶ Frozen ──┘ └─┘ lost, then next:    │ sent
//	               │ freeze   invoke:    deliver again       ▼
//	               │          thaw                        Answered
//	               └───────────────────────────────────────┘ next
//
//	any ──▶ Gone     exit, kill, a tick or any event past the deadline; also an
//	                 init error while Starting, truncated while Answering
//
// One deadline holds in each state that has one: in Starting the limit of
// initialisation, from Busy until the next poll the function's timeout. What
// arrives past it is too late, whichever event comes first.
package environment

import (
	"fmt"
	"strings"
	"time"
)

// State is where an environment is in its life.
type State uint8

// The states, in the order an environment meets them.
const (
	Starting  State = iota // the processes run; the runtime has not polled yet
	Idle                   // a poll waits for an event
	Frozen                 // the same, and the processes are stopped
	Busy                   // an event was delivered
	Answering              // the answer's head has been read, its body not yet
	Answered               // the answer is complete; the runtime has not polled again
	Gone                   // never again
)

var stateNames = [...]string{"starting", "idle", "frozen", "busy", "answering", "answered", "gone"}

// String returns the state's name in lower case.
func (s State) String() string { return stateNames[s] }

// runtimeNames are the states as the Runtime API names them to runtimes.
var runtimeNames = [...]string{"Started", "Ready", "Ready", "Running", "InvocationResponse", "ResponseSent", "Exited"}

// Event is something that happened to an environment.
type Event uint8

// The events.
const (
	Next      Event = iota // the runtime polls for an event
	Invoke                 // a caller brings an invocation
	Response               // the runtime begins to answer
	Error                  // the runtime begins to report that the function failed
	Sent                   // the answer or report is complete
	Truncated              // the answer ended before its end
	Lost                   // the connection that took the event is gone, the processes are not
	InitError              // the runtime reports that it cannot initialise
	Exit                   // the first process has ended
	Tick                   // time has passed
	Freeze                 // the owner wants the processes stopped, if idle
	Kill                   // the owner wants it ended
)

var eventNames = [...]string{"next", "invoke", "response", "error", "sent", "truncated", "lost",
	"initerror", "exit", "tick", "freeze", "kill"}

// String returns the event's name in lower case.
func (e Event) String() string { return eventNames[e] }

// wants names the state of the Runtime API that an event of the runtime asks for.
var wants = [...]string{Next: "Ready", Response: "InvocationResponse", Error: "InvocationErrorResponse", InitError: "InitError"}

// Action is something to be done, as a set of bits so that a step allocates nothing.
type Action uint8

// The actions, in the order they are to be performed.
const (
	DoThaw    Action = 1 << iota // let the processes run on
	DoDeliver                    // write the event to the new poll
	DoOffer                      // tell the owner that it can take an invocation
	DoFreeze                     // stop the processes
	DoFail                       // the invocation under way ends without an answer
	DoKill                       // end every process
	DoReady                      // initialisation has ended, well or badly
)

var actionNames = [...]string{"thaw", "deliver", "offer", "freeze", "fail", "kill", "ready"}

// Has tells whether every action of b is in a.
func (a Action) Has(b Action) bool { return a&b == b }

// String lists the actions by name, separated by spaces.
func (a Action) String() string {
	var names []string
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// Refused is the error of an event that the state does not allow. Its text is
// what the Runtime API answers with status 403.
type Refused struct {
	From  State
	Event Event
}

// Error returns the text of the Runtime API for what a runtime may ask, and a
// plain one for the rest.
func (r *Refused) Error() string {
	if int(r.Event) < len(wants) && wants[r.Event] != "" {
		return fmt.Sprintf("State transition from %s to %s failed for runtime. Error: State transition is not allowed",
			runtimeNames[r.From], wants[r.Event])
	}
	return fmt.Sprintf("%s is not allowed in state %s", r.Event, r.From)
}

// Machine is the life of one environment. Make one with New.
type Machine struct {
	state    State
	timeout  time.Duration
	repeated bool
	lost     bool // Busy without a connection that knows of the event
	deadline time.Time
}

// New returns the machine of processes started now, whose initialisation may
// take limit and each of whose invocations may take timeout.
func New(now time.Time, limit, timeout time.Duration) Machine {
	return Machine{timeout: timeout, deadline: now.Add(limit)}
}

// Repeat returns the machine of processes started inside an invocation because
// their predecessors' initialisation came to nothing. Initialisation and
// invocation share the one timeout.
func Repeat(now time.Time, timeout time.Duration) Machine {
	return Machine{timeout: timeout, repeated: true, deadline: now.Add(timeout)}
}

// State returns where the machine is.
func (m *Machine) State() State { return m.state }

// Deadline returns when a Tick will end the environment; zero for never.
func (m *Machine) Deadline() time.Time { return m.deadline }

// Overdue tells whether the deadline has passed.
func (m *Machine) Overdue(now time.Time) bool {
	return !m.deadline.IsZero() && !now.Before(m.deadline)
}

// Step moves the machine and returns what is to be done. An event that the
// state does not allow is a Refused and changes nothing.
func (m *Machine) Step(now time.Time, e Event) (Action, error) {
	switch e {
	case Exit, Kill:
		return m.end(), nil
	case Tick:
		if m.Overdue(now) {
			return m.end(), nil
		}
		return 0, nil
	case Freeze:
		if m.state == Idle {
			m.state = Frozen
			return DoFreeze, nil
		}
		return 0, nil
	}
	if m.state != Gone && e != Invoke && m.Overdue(now) {
		return m.end(), &Refused{Gone, e} // too late: the tick is only late itself
	}
	switch m.state {
	case Starting:
		switch e {
		case Next:
			m.state = Idle
			if !m.repeated {
				m.deadline = time.Time{}
			}
			return DoReady | DoOffer, nil
		case InitError:
			return m.end(), nil
		}
	case Idle, Frozen:
		switch e {
		case Next: // the newest poll is the one somebody waits for
			return 0, nil
		case Invoke:
			var act Action
			if m.state == Frozen {
				act = DoThaw
			}
			m.state = Busy
			if m.repeated {
				m.repeated = false
			} else {
				m.deadline = now.Add(m.timeout)
			}
			return act, nil
		}
	case Busy:
		switch e {
		case Response, Error:
			m.state, m.lost = Answering, false
			return 0, nil
		case Lost:
			m.lost = true
			return 0, nil
		case Next:
			if m.lost {
				m.lost = false
				return DoDeliver, nil
			}
		}
	case Answering:
		switch e {
		case Sent:
			m.state = Answered
			return 0, nil
		case Truncated:
			return m.end(), nil
		}
	case Answered:
		if e == Next {
			m.state = Idle
			m.deadline = time.Time{}
			return DoOffer, nil
		}
	}
	return 0, &Refused{m.state, e}
}

// end moves to Gone and returns what that asks for.
func (m *Machine) end() Action {
	var act Action
	switch m.state {
	case Gone:
		return 0
	case Starting:
		act = DoReady
	case Busy, Answering:
		act = DoFail
	}
	m.state, m.lost, m.deadline = Gone, false, time.Time{}
	return act | DoKill
}
