package main

import (
	"testing"
)

// There are 25 primes below 100, and a request out of bounds is refused.
func TestPrimes(t *testing.T) {
	for _, c := range []struct{ below, primes, largest int }{{3, 1, 2}, {4, 2, 3}, {100, 25, 97}, {1000, 168, 997}} {
		a, err := handle(t.Context(), Request{c.below})
		if err != nil {
			t.Error(err)
		} else if a.Primes != c.primes || a.Largest != c.largest {
			t.Errorf("below %d: %d primes up to %d", c.below, a.Primes, a.Largest)
		}
	}
	for _, below := range []int{-1, 2, most + 1} {
		if _, err := handle(t.Context(), Request{below}); err == nil {
			t.Errorf("below %d: no error", below)
		}
	}
}
