package memnet_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

func Example() {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	network, err := memnet.New(memnet.Options{Seed: 1})
	must(err)
	one := netip.MustParseAddrPort("10.0.0.1:7946")
	two := netip.MustParseAddrPort("10.0.0.2:7946")
	sender, err := network.Listen(one, nil)
	must(err)
	receiver, err := network.Listen(two, nil)
	must(err)

	_, err = sender.WriteTo([]byte("hello"), two.String())
	must(err)
	packet := <-receiver.PacketCh()
	fmt.Printf("%s from %v\n", packet.Buf, packet.From)

	// A packet across a cut is lost without an error. A dial times out.
	network.Isolate(two)
	_, err = sender.WriteTo([]byte("anybody?"), two.String())
	must(err)
	_, err = sender.DialTimeout(two.String(), time.Millisecond)
	fmt.Println(err)
	network.Heal()

	must(receiver.Shutdown())
	_, err = sender.DialTimeout(two.String(), time.Second)
	fmt.Println(err)
	must(sender.Shutdown())

	stats := network.Stats()
	fmt.Println(stats.PacketsDelivered, "delivered,", stats.PacketsDropped.Cut, "cut")
	// Output:
	// hello from 10.0.0.1:7946
	// dial tcp 10.0.0.2:7946: i/o timeout
	// dial tcp 10.0.0.2:7946: connect: connection refused
	// 1 delivered, 1 cut
}
