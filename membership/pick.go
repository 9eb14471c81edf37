package membership

import "math/rand/v2"

// pick returns up to most elements of a list, at random and in random order. It reorders the list.
func pick[T any](list []T, most int) []T {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(len(list), most)]
}
