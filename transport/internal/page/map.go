package page

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/transport/api"
)

// maxColours is how many members have colours of their own. More members could not be told
// apart: then a colour stands for a zone.
const maxColours = 60

type rgb struct{ r, g, b uint8 }

func (c rgb) hex() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// coloursOf gives each node a colour: neighbouring hues to the nodes of one zone, or one hue
// where there are many nodes. Neighbours differ in lightness.
func coloursOf(nodes []api.PlacementNode) []rgb {
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := nodes[a], nodes[b]
		return cmp.Or(strings.Compare(x.Region, y.Region), strings.Compare(x.Zone, y.Zone), strings.Compare(x.ID, y.ID))
	})
	zones, byZone := make(map[place]int), len(nodes) > maxColours
	for _, i := range order {
		if at := (place{nodes[i].Region, nodes[i].Zone}); byZone && zones[at] == 0 {
			zones[at] = len(zones) + 1
		}
	}
	colours := make([]rgb, len(nodes))
	for rank, i := range order {
		step, steps := rank, len(nodes)
		if byZone {
			step, steps = zones[place{nodes[i].Region, nodes[i].Zone}], len(zones)
		}
		colours[i] = hsl(360*float64(step%steps)/float64(steps), 0.55, [...]float64{0.42, 0.6, 0.51}[rank%3])
	}
	return colours
}

// hsl converts a colour: hue in degrees, saturation and lightness from 0 to 1.
func hsl(hue, saturation, lightness float64) rgb {
	a := saturation * min(lightness, 1-lightness)
	part := func(n float64) uint8 {
		k := math.Mod(n+hue/30, 12)
		return uint8(math.Round(255 * (lightness - a*max(-1, min(k-3, 9-k, 1)))))
	}
	return rgb{part(0), part(8), part(4)}
}

// mapSide returns the length of a side of the map in pixels, and how many partitions a
// pixel stands for.
func mapSide(partitions int) (side, perPixel int) {
	const most = 256
	perPixel = (partitions + most*most - 1) / (most * most)
	pixels := (partitions + perPixel - 1) / perPixel
	return int(math.Ceil(math.Sqrt(float64(pixels)))), perPixel
}

// WriteMap writes the map as a PNG: a pixel for each partition, row by row from the top
// left, in the colour of its primary. With the ID of a member it shows where that member
// is the primary, and where it is another owner.
func WriteMap(w io.Writer, p *api.Placements, highlight string) error {
	t := p.Serving
	side, perPixel := mapSide(t.PartitionCount)
	palette := color.Palette{color.RGBA{}}
	index := make([]uint8, len(t.Nodes))
	known := make(map[rgb]uint8)
	for i, c := range coloursOf(t.Nodes) {
		if _, ok := known[c]; !ok {
			known[c] = uint8(len(palette))
			palette = append(palette, color.RGBA{c.r, c.g, c.b, 255})
		}
		index[i] = known[c]
	}
	none, other, primary := uint8(len(palette)), uint8(len(palette)+1), uint8(len(palette)+2)
	palette = append(palette, color.NRGBA{128, 128, 128, 60}, color.RGBA{90, 160, 230, 255}, color.RGBA{230, 120, 20, 255})
	img := image.NewPaletted(image.Rect(0, 0, side, side), palette)
	for pixel := range (t.PartitionCount + perPixel - 1) / perPixel {
		owners := t.Owners[pixel*perPixel*t.Replicas:][:t.Replicas]
		shade := index[owners[0]]
		if highlight != "" {
			shade = none
			for rank, o := range owners {
				if t.Nodes[o].ID == highlight {
					shade = other
					if rank == 0 {
						shade = primary
					}
				}
			}
		}
		img.Pix[pixel/side*img.Stride+pixel%side] = shade
	}
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("page: map: %w", err)
	}
	return nil
}
