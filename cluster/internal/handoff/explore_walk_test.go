package handoff

import (
	"math/rand/v2"
	"slices"
)

// walks are random walks of a model.
type walks struct {
	*space
	start  global
	random *rand.Rand
	steps  int                 // steps done so far
	unfair bool                // walks end without a fair run
	excuse func(*failure) bool // as in space
	bursts bool                // rounds of a fair run come between the moves
}

// run takes walks of a number of steps in total, and returns the first failure, shrunk. It replaces the
// space now and then, so that the memory is bounded.
func (w *walks) run(m model, steps int) *failure {
	for w.steps < steps {
		if w.space == nil || len(w.locals) > 20_000 {
			w.space = newSpace(m)
			w.start, w.excused = w.form(), w.excuse
		}
		if f := w.walk(60); f != nil && (w.excused == nil || !w.excused(f)) {
			return w.shrink(w.start, f)
		}
	}
	return nil
}

// walk takes one walk of a number of steps, with a fair run at its end. Each walk has its own number of
// faults, and its own weight for each kind of move.
func (w *walks) walk(steps int) (f *failure) {
	var likes [moveHeal + 1]int
	for kind := range likes {
		likes[kind] = []int{1, 4, 16}[w.random.IntN(3)]
	}
	if !w.bursts {
		likes[moveFault] = 1
	}
	x, random, g, moves := w.space, w.random, w.start, []move(nil)
	for f := range g.left {
		g.left[f] = uint8(random.IntN(int(g.left[f]) + 1))
	}
	wrong := ""
	do := func(m move) {
		before := g
		if wrong == "" {
			w.steps++
			if wrong = x.apply(&g, m); wrong != "" || g != before {
				moves = append(moves, m)
			}
		}
	}
	for range steps {
		if wrong != "" {
			return &failure{wrong, moves, false}
		}
		if w.bursts && random.IntN(16) == 0 {
			x.round(&g, do)
			continue
		}
		var possible []move
		x.moves(&g, func(m move) {
			for range likes[m[0]&^moveLate] {
				possible = append(possible, m)
			}
		})
		if len(possible) == 0 {
			break
		}
		do(possible[random.IntN(len(possible))])
	}
	if wrong != "" {
		return &failure{wrong, moves, false}
	}
	if w.unfair {
		return nil
	}
	wrong = x.settle(&g, nil, nil)
	if wrong == "" {
		wrong = x.unfinished(&g)
	}
	if wrong != "" {
		return &failure{wrong, moves, true}
	}
	return nil
}

// again carries out the moves of a failure that are possible, and returns the failure that results.
func (x *space) again(start global, moves []move, fair bool) *failure {
	g, f := start, &failure{fair: fair}
	for _, m := range moves {
		possible := false
		x.moves(&g, func(p move) { possible = possible || p == m })
		if !possible {
			continue
		}
		before := g
		wrong := x.apply(&g, m)
		if wrong != "" || g != before {
			f.moves = append(f.moves, m)
		}
		if f.what = wrong; wrong != "" {
			f.fair = false
			break
		}
	}
	if f.fair {
		if f.what = x.settle(&g, nil, nil); f.what == "" {
			f.what = x.unfinished(&g)
		}
	}
	if f.what == "" || x.excused != nil && x.excused(f) {
		return nil
	}
	return f
}

// shrink removes moves from a failure as long as the remaining moves still fail.
func (x *space) shrink(start global, f *failure) *failure {
	for size := max(1, len(f.moves)/2); size > 0; {
		shorter := false
		for at := 0; at < len(f.moves); {
			rest := slices.Delete(slices.Clone(f.moves), at, min(at+size, len(f.moves)))
			if next := x.again(start, rest, f.fair); next != nil && len(next.moves) < len(f.moves) {
				f, shorter = next, true
			} else {
				at += size
			}
		}
		if !shorter || size > 1 {
			if size /= 2; size == 0 && shorter {
				size = 1
			}
		}
	}
	return f
}
