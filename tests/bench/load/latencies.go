package main

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies counts durations in buckets 1/64 of their size wide, so that a quantile is off by less than 1.6 %.
type latencies struct{ buckets [64 * 64]atomic.Int64 }

func (l *latencies) add(d time.Duration) { l.buckets[bucket(uint64(max(d, 0)))].Add(1) }

func bucket(n uint64) int {
	if n < 64 {
		return int(n)
	}
	shift := bits.Len64(n) - 7
	return (shift+1)*64 + int(n>>shift) - 64
}

// middle is the duration in the middle of a bucket, in nanoseconds.
func middle(bucket int) float64 {
	if bucket < 64 {
		return float64(bucket)
	}
	shift := bucket/64 - 1
	return (float64(bucket%64+64) + 0.5) * math.Pow(2, float64(shift))
}

// take returns how many there were and p50, p99 and p99.9 in microseconds, and begins anew.
func (l *latencies) take() (int64, [3]float64) {
	var counts [len(l.buckets)]int64
	total := int64(0)
	for i := range counts {
		counts[i] = l.buckets[i].Swap(0)
		total += counts[i]
	}
	var found [3]float64
	for i, quantile := range [3]float64{0.5, 0.99, 0.999} {
		rank, sum := int64(math.Ceil(quantile*float64(total))), int64(0)
		for at := 0; at < len(counts) && sum < rank; at++ {
			if sum += counts[at]; sum >= rank {
				found[i] = middle(at) / 1000
			}
		}
	}
	return total, found
}
