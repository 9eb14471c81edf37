package main

// invite prints requests that the reader can send to the running members.
func (s *scenario) invite() {
	m := s.members[0]
	at := "http://" + m.HTTPAddr()
	s.Printf(`
The survivors go on until Ctrl-C. In another terminal, ask any of them who owns
a key, how it is, whom it sees, and what would move without %[2]s:

   curl '%[1]s/v1/lookup?key=user:42'
   curl %[1]s/v1/health
   curl %[1]s/v1/members
   curl --json '{"remove":["%[2]s"]}' '%[1]s/v1/plan?moves=false'

Or add a member of your own, and ask again:

   go run ./examples/node -cluster quickstart -id n6 -zone b -replicas 2 \
      -profile local -gossip 127.0.0.1:0 -http 127.0.0.1:0 -join %[3]s
`, at, s.members[len(s.members)-1].id, m.Local().Addr)
}
