package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreCloserThanABucket(t *testing.T) {
	var l latencies
	for i := 1; i <= 100_000; i++ {
		l.add(time.Duration(i) * time.Microsecond)
	}
	total, found := l.take()
	if total != 100_000 {
		t.Fatalf("%d durations", total)
	}
	for i, want := range []float64{50_000, 99_000, 99_900} {
		if math.Abs(found[i]-want)/want > 0.016 {
			t.Errorf("quantile %d: %f, want %f", i, found[i], want)
		}
	}
	if total, _ := l.take(); total != 0 {
		t.Errorf("%d durations are left", total)
	}
}
