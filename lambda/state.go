package lambda

// State is the life of a function version, as the API shows it.
type State string

// States of a function version (AWS API reference, FunctionConfiguration.State).
const (
	Pending  State = "Pending"
	Active   State = "Active"
	Inactive State = "Inactive"
	Failed   State = "Failed"
	Deleting State = "Deleting"
	// ActiveNonInvocable is $LATEST of a function on managed instances: only what
	// is published of it runs.
	ActiveNonInvocable State = "ActiveNonInvocable"
)

// moves are the legal changes of State:
//
//	Pending ──▶ Active ◀──▶ Inactive (by way of Pending)
//	   └──────▶ Failed          each ──▶ Deleting
var moves = map[State][]State{
	Pending:  {Active, ActiveNonInvocable, Failed, Inactive, Deleting},
	Active:   {Pending, Inactive, Deleting},
	Inactive: {Pending, Deleting},
	Failed:   {Pending, Deleting},
	Deleting: nil,

	ActiveNonInvocable: {Pending, Deleting},
}

// To returns t if the move from s is legal. Otherwise it returns s and the
// conflict AWS answers to a request the state does not allow.
func (s State) To(t State) (State, error) {
	for _, m := range moves[s] {
		if m == t {
			return t, nil
		}
	}
	return s, s.Conflict()
}

// Conflict is what AWS answers to a request that a version in state s refuses.
func (s State) Conflict() *Error {
	return Errorf(ResourceConflict, "The operation cannot be performed at this time. "+
		"The function is currently in the following state: %s", s)
}

// UpdateStatus tells how the last update of $LATEST went.
type UpdateStatus string

// Values of LastUpdateStatus. Empty while a function is being created.
const (
	UpdateNone       UpdateStatus = ""
	UpdateInProgress UpdateStatus = "InProgress"
	UpdateSuccessful UpdateStatus = "Successful"
	UpdateFailed     UpdateStatus = "Failed"
)
