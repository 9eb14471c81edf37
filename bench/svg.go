package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The picture: its size, and the box that the marks lie in.
const (
	svgWidth, svgHeight   = 860, 560
	boxLeft, boxTop       = 76, 74
	boxRight, boxBottom   = 620, 490
	markSize              = 5.5
	legendLeft, legendTop = 650, 92
)

// svgHead opens the picture. Text and lines follow the reader's light or dark
// scheme, on a ground of their own; the strategies' colours read on both, and
// are told apart by those who see few colours (Okabe and Ito, 2008).
const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">
<title id="title">%s</title>
<style>
.ground { fill: #ffffff } .frame { stroke: #57606a; fill: none } .grid { stroke: #d8dee4 }
text { fill: #1f2328; font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.title { font-size: 17px; font-weight: 600 } .soft { fill: #57606a } .heading { font-weight: 600 }
.mark { stroke-width: 1.8; fill-opacity: .3 } .shape { stroke: #57606a; fill: none }
.s0 { stroke: #0072b2; fill: #0072b2 } .s1 { stroke: #d55e00; fill: #d55e00 }
.s2 { stroke: #cc79a7; fill: #cc79a7 } .s3 { stroke: #009e73; fill: #009e73 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } .frame { stroke: #8b949e } .grid { stroke: #262c34 }
text { fill: #e6edf3 } .soft { fill: #9da7b1 } .shape { stroke: #9da7b1 }
.s0 { stroke: #56b4e9; fill: #56b4e9 } .s1 { stroke: #f08a3c; fill: #f08a3c } .s3 { stroke: #2cc295; fill: #2cc295 }
}
</style>
<rect class="ground" width="100%%" height="100%%"/>
`

// svgColours is how many colours there are for strategies.
const svgColours = 4

// axis maps values from 1 to a length. It is linear close to 1, where good
// strategies differ by little, and logarithmic far from it, where bad ones lie.
type axis struct {
	fine, most float64 // how far from 1 it turns logarithmic, and where it ends
	from, to   float64 // in pixels
	ticks      []float64
}

func (a axis) at(v float64) float64 {
	scaled := func(v float64) float64 { return math.Log1p(max(v-1, 0) / a.fine) }
	return a.from + (a.to-a.from)*min(scaled(v)/scaled(a.most), 1)
}

// axes span the results: balance to the right, movement upward.
func axes(results []figures) (x, y axis) {
	x = axis{fine: 0.03, most: 1.1, from: boxLeft, to: boxRight, ticks: []float64{1, 1.02, 1.05, 1.1, 1.2, 1.4, 2, 3, 5, 10, 20, 50}}
	y = axis{fine: 0.05, most: 1.1, from: boxBottom, to: boxTop, ticks: []float64{1, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000}}
	for _, f := range results {
		x.most = max(x.most, 1+1.1*(f.replicas.mean()-1))
		y.most = max(y.most, 1+1.2*(f.join.mean()-1))
	}
	return x, y
}

// writeSVG draws a mark for each result: how even the replicas are against what
// a join moves, both the mean over seeds. Colours are strategies, shapes are
// families of layouts, and each mark's tooltip tells the numbers.
func writeSVG(out io.Writer, results []figures) error {
	const title = "Balance against movement"
	var b bytes.Buffer
	fmt.Fprintf(&b, svgHead, svgWidth, svgHeight, title)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="30">%s</text>`+"\n", boxLeft, title)
	if len(results) > 0 {
		fmt.Fprintf(&b, `<text class="soft" x="%d" y="52">one mark a strategy and layout, means over the seeds 1 to %d; best is bottom left</text>`+"\n", boxLeft, results[0].seeds)
	}
	x, y := axes(results)
	drawAxes(&b, x, y)
	var names, families []string
	for _, f := range results {
		names = appendNew(names, label(f.strategy))
		families = appendNew(families, f.layout.family)
	}
	for _, f := range results {
		fmt.Fprintf(&b, `<g class="mark %s"><title>%s</title>%s</g>`+"\n",
			colour(label(f.strategy)),
			escape(fmt.Sprintf("%s on %s: max/mean %.3f, join %.2f of the minimum", label(f.strategy), f.layout, f.replicas.mean(), f.join.mean())),
			shape(slices.Index(families, f.layout.family), x.at(f.replicas.mean()), y.at(f.join.mean())))
	}
	drawLegend(&b, names, families)
	b.WriteString("</svg>\n")
	_, err := out.Write(b.Bytes())
	return err
}

func drawAxes(b *bytes.Buffer, x, y axis) {
	for _, v := range x.ticks {
		if v > x.most {
			break
		}
		at := x.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text class="soft" x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
			at, boxTop, at, boxBottom, at, boxBottom+20, v)
	}
	for _, v := range y.ticks {
		if v > y.most {
			break
		}
		at := y.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text class="soft" x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			boxLeft, at, boxRight, at, boxLeft-10, at+4, v)
	}
	fmt.Fprintf(b, `<rect class="frame" x="%d" y="%d" width="%d" height="%d"/>`+"\n", boxLeft, boxTop, boxRight-boxLeft, boxBottom-boxTop)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">balance: the fullest member's replicas over the mean, per weight</text>`+"\n", (boxLeft+boxRight)/2, boxBottom+48)
	fmt.Fprintf(b, `<text transform="translate(24 %d) rotate(-90)" text-anchor="middle">movement: slots that a join moves, over the minimum</text>`+"\n", (boxTop+boxBottom)/2)
}

func drawLegend(b *bytes.Buffer, names, families []string) {
	top := legendTop
	entry := func(class string, kind int, text string) {
		fmt.Fprintf(b, `<g class="mark %s">%s</g><text x="%d" y="%d">%s</text>`+"\n",
			class, shape(kind, legendLeft+6, float64(top-4)), legendLeft+22, top, escape(text))
		top += 22
	}
	heading := func(text string) {
		fmt.Fprintf(b, `<text class="heading" x="%d" y="%d">%s</text>`+"\n", legendLeft, top, text)
		top += 24
	}
	heading("Strategy")
	for _, name := range names {
		entry(colour(name), 0, name)
	}
	top += 18
	heading("Layout")
	for i, family := range families {
		entry("shape", i, family)
	}
}

// colour is the class of a strategy, the same whichever others are drawn.
func colour(strategy string) string {
	return fmt.Sprintf("s%d", max(slices.Index(labels(strategies), strategy), 0)%svgColours)
}

// shapes are polygons around the origin, of about the same area; the first,
// without corners, is a circle.
var shapes = [][][2]float64{
	{},
	{{-.9, -.9}, {.9, -.9}, {.9, .9}, {-.9, .9}},
	{{0, -1.2}, {1.15, .8}, {-1.15, .8}},
	{{0, 1.2}, {1.15, -.8}, {-1.15, -.8}},
	{{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}},
	{{-.4, -1.2}, {.4, -1.2}, {.4, -.4}, {1.2, -.4}, {1.2, .4}, {.4, .4}, {.4, 1.2}, {-.4, 1.2}, {-.4, .4}, {-1.2, .4}, {-1.2, -.4}, {-.4, -.4}},
}

// shape draws one of the shapes around a point.
func shape(kind int, x, y float64) string {
	corners := shapes[kind%len(shapes)]
	if len(corners) == 0 {
		return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="%g"/>`, x, y, markSize)
	}
	points := make([]string, len(corners))
	for i, c := range corners {
		points[i] = fmt.Sprintf("%.1f,%.1f", x+markSize*c[0], y+markSize*c[1])
	}
	return fmt.Sprintf(`<polygon points="%s"/>`, strings.Join(points, " "))
}

// escape makes text safe to stand in XML.
func escape(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a Buffer does not fail
	return b.String()
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
