package rebalance

import (
	"math/bits"
	"slices"
)

// Paces serve where zones are so unequal that limits contradict each other. With zones of 12, 8
// and 5 members and two owners in a row, the members of the two smaller zones propose so early that
// both zones reach their limits, and rows are left in which neither is. Then every change of a
// share changes many rows. With paces the members of a zone propose faster or slower than their
// weight says, so that each zone wins about its share, and hardly reaches its limit.
//
// Paces follow from the weights and shares of the units alone. Where zones are nearly equal, a race
// with paces moves more than one without. So paces come in gradually: see pulled.

const (
	whole       = 1 << 31 // a probability of one
	maxPaced    = 256     // with more units than this, the paces are the weights
	paceRounds  = 16      // the rounds of the search for rates
	maxRate     = 1 << 40
	fastestPace = 1 << 30
)

// paces returns the pace of each member for a second race, or nil when the first one is good
// enough. All slots of the level must be in one group, so that each row has equally many.
func (r *race) paces(members []unit, unitOf []int32) []uint64 {
	if r.open == 0 || !r.alone {
		return nil
	}
	var racing []int // units
	n, slack := uint64(r.replicas), uint64(0)
	for u := range r.units {
		at := &r.units[u]
		n -= at.low
		if at.pressed() {
			return nil // it wins its slots first, so that rows do not have equally many for the others
		}
		if at.low < at.high {
			racing = append(racing, u)
			slack += at.limit - min(at.limit, at.share>>16)
		}
	}
	if len(racing) > maxPaced {
		return nil
	}
	partitions := uint64(len(r.room))
	weights, shares := make([]uint64, len(racing)), make([]uint64, len(racing))
	for i, u := range racing {
		at := &r.units[u]
		weights[i], shares[i] = at.weight, (at.share-at.low*partitions<<16)<<15/partitions
	}
	rates := ratesFor(pulled(shares, included(weights, int(n)), uint64(r.open), slack), int(n))
	rateOf := make([]uint64, len(r.units))
	for i, u := range racing {
		rateOf[u] = rates[i]
	}
	pace, fastest := make([]uint64, len(members)), uint64(1)
	for m, u := range unitOf {
		pace[m] = rateOf[u] << 20 / r.units[u].weight * members[m].weight
		fastest = max(fastest, pace[m])
	}
	for m := range pace {
		high, low := bits.Mul64(pace[m], fastestPace)
		pace[m], _ = bits.Div64(high, low, fastest)
		pace[m] = max(pace[m], 1)
	}
	return pace
}

// pulled returns the probabilities that the paces are for. With few open slots they are nearly
// those of the race without paces. With half as many open slots as units may have above their
// shares, or more, they are the shares.
func pulled(shares, natural []uint64, open, slack uint64) []uint64 {
	pull := min(2*open*whole/max(slack, 1), whole)
	wanted := make([]uint64, len(shares))
	for i := range shares {
		wanted[i] = (shares[i]*pull + natural[i]*(whole-pull)) / whole
	}
	return wanted
}

// ratesFor returns rates at which each unit gets one of the n slots of a row with the probability
// that is wanted. In each round the rate of a unit changes as the logarithm of the probability that the
// unit gets no slot must.
func ratesFor(wanted []uint64, n int) []uint64 {
	table := newLogTable()
	none := func(p uint64) uint64 { return table.lot((whole - min(max(p, 1), whole-1)) << 33) }
	rates := make([]uint64, len(wanted))
	for i, p := range wanted {
		rates[i] = max(none(p)>>25, 1)
	}
	for range paceRounds {
		for i, p := range included(rates, n) {
			high, low := bits.Mul64(rates[i], none(wanted[i]))
			rate, _ := bits.Div64(high, low, max(none(p), high+1))
			rates[i] = min(max(rate, 1), maxRate)
		}
	}
	return rates
}

// included returns the probability that a unit gets one of the n slots of a row, where units
// arrive at random times at their rates, and the first n get the slots. It adds up small steps of time. Each
// time is a quarter of an octave after the one before.
func included(rates []uint64, n int) []uint64 {
	units := len(rates)
	got := make([]uint64, units)
	if n >= units {
		for i := range got {
			got[i] = whole
		}
		return got
	}
	quarters := [4]uint64{65536, 77936, 92682, 110218} // 2^16 times the powers of two to 0, a quarter, a half and three quarters
	fastest := slices.Max(rates)
	var absent [4][]uint64 // for each unit, 2^48 times the probability that it has not arrived, at the last four times
	for q, quarter := range quarters {
		absent[q] = make([]uint64, units)
		for i, rate := range rates {
			high, low := bits.Mul64(rate, quarter<<22)
			arrived, _ := bits.Div64(high, low, fastest)
			absent[q][i] = 1<<48 - arrived
		}
	}
	later := make([]uint64, (units+1)*n) // at i*n+m, the probability that at most m of the units from i on have arrived
	for m := range n {
		later[units*n+m] = whole
	}
	earlier := make([]uint64, n) // the probabilities that 0, 1, 2 and so on of the units before have arrived
	before, free := slices.Repeat([]uint64{whole}, units), slices.Repeat([]uint64{whole}, units)
	for step := range 256 {
		now := absent[step%4]
		for i := units - 1; i >= 0; i-- {
			a := now[i] >> 17
			for m := range n {
				p := later[(i+1)*n+m] * a
				if m > 0 {
					p += later[(i+1)*n+m-1] * (whole - a)
				}
				later[i*n+m] = p / whole
			}
		}
		clear(earlier)
		earlier[0] = whole
		for i := range units {
			a, isFree := now[i]>>17, uint64(0) // a row is free while fewer than n of the others have arrived
			for j := range n {
				isFree += earlier[j] * later[(i+1)*n+n-1-j] / whole
			}
			got[i] += (before[i] - min(before[i], a)) * (free[i] + isFree) / 2 / whole
			before[i], free[i] = a, isFree
			for j := n - 1; j >= 0; j-- {
				earlier[j] = earlier[j] * a / whole
				if j > 0 {
					earlier[j] += earlier[j-1] * (whole - a) / whole
				}
			}
			high, low := bits.Mul64(now[i], now[i])
			now[i] = high<<16 | low>>48
		}
		if later[n-1] < whole>>16 {
			break
		}
	}
	return got
}
