// Package hostile attacks members that run as processes on loopback. It measures what each attack
// costs them: memory, lookups, joins and members that are wrongly declared failed.
package hostile
