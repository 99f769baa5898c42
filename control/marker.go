package control

import (
	"encoding/base64"
	"encoding/json"
)

// marker is a place in a list: after a name, or a version of it. It is given to
// callers sealed in base64, and stays good while the list changes, since it says
// what has been seen and not how much.
type marker struct {
	Form    int    `json:"f"` // markerForm
	Name    string `json:"n,omitempty"`
	Version int64  `json:"v,omitempty"`
	Within  bool   `json:"w,omitempty"` // more versions of Name may follow
}

// markerForm tells a marker from one that another version of the program made.
const markerForm = 1

func (m marker) encode() *string {
	m.Form = markerForm
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it holds nothing that cannot be marshalled
	}
	return ptr(base64.RawURLEncoding.EncodeToString(b))
}

// after is the marker of a list that goes on after a name, or nil if name is "".
func after(name string) *string {
	if name == "" {
		return nil
	}
	return marker{Name: name}.encode()
}

func parseMarker(s *string) (m marker, err error) {
	if value(s) == "" {
		return m, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*s)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil || m.Form != markerForm {
		return marker{}, refuse("The marker is not valid.")
	}
	return m, nil
}
