package invoke

import (
	"testing"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// An alias leads to its main version, or with the given share of draws to the other one.
func TestAliasesChooseByWeight(t *testing.T) {
	one, two, latest := &lambda.Version{Number: "1"}, &lambda.Version{Number: "2"}, &lambda.Version{Number: lambda.Latest}
	e := &catalog.Entry{
		Versions: map[string]*lambda.Version{"1": one, "2": two, lambda.Latest: latest},
		Aliases: map[string]*lambda.Alias{
			"plain": {Version: "1"},
			"split": {Version: "1", Weights: map[string]float64{"2": 0.25}},
			"lost":  {Version: "9"},
		},
	}
	for _, c := range []struct {
		qualifier string
		draw      float64
		want      *lambda.Version
	}{
		{lambda.Latest, 0, latest},
		{"2", 0, two},
		{"plain", 0, one},
		{"split", 0, two},
		{"split", 0.24, two},
		{"split", 0.25, one},
		{"split", 0.99, one},
		{"lost", 0, nil},
		{"none", 0, nil},
	} {
		if got := choose(e, c.qualifier, func() float64 { return c.draw }); got != c.want {
			t.Errorf("%s at %v leads to %+v, want %+v", c.qualifier, c.draw, got, c.want)
		}
	}
}
