package measure

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// svgHead begins a picture. Text and lines use the reader's light or dark scheme.
// People with colour blindness can distinguish the four colours (Okabe and Ito, 2008).
const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">
<title id="title">%s</title>
<style>
.ground { fill: #ffffff } .grid { stroke: #d8dee4 } .line { stroke: #1f2328; fill: none }
text { fill: #1f2328; font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.title { font-size: 17px; font-weight: 600 } .soft { fill: #57606a } .heading { font-weight: 600 }
.mark { stroke-width: 1.8; fill-opacity: .3 } .c { fill: #8c959f; stroke: #8c959f }
.c0 { fill: #0072b2; stroke: #0072b2 } .c1 { fill: #d55e00; stroke: #d55e00 }
.c2 { fill: #cc79a7; stroke: #cc79a7 } .c3 { fill: #009e73; stroke: #009e73 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } .grid { stroke: #262c34 } .line { stroke: #e6edf3 }
text { fill: #e6edf3 } .soft { fill: #9da7b1 } .c { fill: #6e7681; stroke: #6e7681 }
.c0 { fill: #56b4e9; stroke: #56b4e9 } .c1 { fill: #f08a3c; stroke: #f08a3c } .c3 { fill: #2cc295; stroke: #2cc295 }
}
</style>
<rect class="ground" width="100%%" height="100%%"/>
`

// Colours is the number of series of points in a [Scatter] with colours of their own.
const Colours = 4

// picture is an SVG that is being written.
type picture struct{ bytes.Buffer }

func newPicture(width, height int, title, caption string) *picture {
	p := new(picture)
	fmt.Fprintf(&p.Buffer, svgHead, width, height, escape(title))
	p.text("title", "start", 24, 30, title)
	p.text("soft", "start", 24, 52, caption)
	return p
}

func (p *picture) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(&p.Buffer, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, y, escape(text))
}

func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&p.Buffer, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (p *picture) end(out io.Writer) error {
	p.WriteString("</svg>\n")
	_, err := out.Write(p.Bytes())
	return err
}

func escape(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // writing to a Buffer cannot fail
	return b.String()
}

// axis maps a value to pixels, by the logarithm of the value plus fine. With a large
// fine the axis is linear near zero.
type axis struct{ zero, fine, most, from, to float64 }

func (a axis) at(v float64) float64 {
	scaled := func(v float64) float64 { return math.Log1p(max(v-a.zero, 0) / a.fine) }
	return a.from + (a.to-a.from)*min(scaled(v)/scaled(a.most), 1)
}

// ticks returns round values of the axis that are far enough apart for their labels.
func (a axis) ticks(all []float64) (some []float64) {
	last := math.Inf(-1)
	for _, v := range all {
		if at := math.Abs(a.at(v) - a.from); v >= a.zero && v <= a.most && at-last > 24 {
			some, last = append(some, v), at
		}
	}
	return some
}

// decades are 1, 2 and 5 times powers of ten.
func decades(from, to float64) (all []float64) {
	for d := from; d <= to; d *= 10 {
		all = append(all, math.Round(d*100)/100, math.Round(d*200)/100, math.Round(d*500)/100)
	}
	return all
}

// WriteBars draws a bar for each result of the groups that have a floor: its time as a
// multiple of the floor, with its quartiles.
func WriteBars(out io.Writer, title, caption string, results []Result) error {
	const left, right, pitch, top, nameLength = 340, 800, 22, 76, 46
	results = slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.ToFloor == nil })
	groups := groupsOf(results, groupOf)
	height := top + 34*len(groups) + pitch*len(results) + 40
	scale := axis{zero: 0.5, fine: 0.5, most: 2, from: left, to: right}
	for _, r := range results {
		f := SpreadOf(r.ToFloor)
		scale.zero, scale.fine = min(scale.zero, f.Low*0.9), min(scale.fine, f.Low*0.9)
		scale.most = max(scale.most, f.High*1.1)
	}
	p := newPicture(920, height, title, caption)
	for _, v := range scale.ticks(decades(0.01, scale.most)) {
		p.line("grid", scale.at(v), top-4, scale.at(v), float64(height)-34)
		p.text("soft", "middle", scale.at(v), float64(height)-16, fmt.Sprint(v))
	}
	y := float64(top)
	for _, group := range groups {
		p.text("heading", "start", 24, y+22, group[0].Case.Group)
		y += 34
		for _, r := range group {
			f, name := SpreadOf(r.ToFloor), r.Case.Name
			if utf8.RuneCountInString(name) > nameLength {
				name = string([]rune(name)[:nameLength-1]) + "…"
			}
			p.text("", "end", left-10, y+11, name)
			fmt.Fprintf(&p.Buffer, `<rect class="%s" x="%d" y="%.1f" width="%.1f" height="13"><title>%s</title></rect>`+"\n",
				[...]string{Plain: "c", Floor: "c1", Reference: "c0"}[r.Case.Role], left, y, max(scale.at(f.Median)-left, 1),
				escape(fmt.Sprintf("%s: %s, %s times the floor", r.Case.Name, Duration(r.Time().Median), Digits(f.Median))))
			p.line("line", scale.at(f.Low), y+6.5, scale.at(f.High), y+6.5)
			p.text("soft", "start", scale.at(f.High)+8, y+11, Digits(f.Median))
			y += pitch
		}
	}
	return p.end(out)
}

// Point is a mark of a [Scatter].
type Point struct {
	// X and Y are ratios; the best ratio is 1.
	X, Y float64
	// Series determines the colour of the mark, and Family its shape.
	Series, Family string
	// Tooltip is shown when the pointer is on the mark.
	Tooltip string
}

// Scatter draws points over two axes that begin at 1.
type Scatter struct {
	Title, Caption string
	XTitle, YTitle string
	// Series are all series, each with a colour, so that a series has the same colour
	// in every picture.
	Series []string
	Points []Point
}

// Write draws the picture.
func (s Scatter) Write(out io.Writer) error {
	const left, top, right, bottom = 76., 74., 620., 490.
	x := axis{zero: 1, fine: 0.03, most: 1.1, from: left, to: right}
	y := axis{zero: 1, fine: 0.05, most: 1.1, from: bottom, to: top}
	var families []string
	for _, m := range s.Points {
		x.most, y.most = max(x.most, 1+1.1*(m.X-1)), max(y.most, 1+1.2*(m.Y-1))
		if !slices.Contains(families, m.Family) {
			families = append(families, m.Family)
		}
	}
	p := newPicture(860, 560, s.Title, s.Caption)
	values := append([]float64{1, 1.02, 1.05, 1.1, 1.2, 1.5}, decades(1, 1000)[1:]...)
	for _, v := range x.ticks(values) {
		p.line("grid", x.at(v), top, x.at(v), bottom)
		p.text("soft", "middle", x.at(v), bottom+20, fmt.Sprint(v))
	}
	for _, v := range y.ticks(values) {
		p.line("grid", left, y.at(v), right, y.at(v))
		p.text("soft", "end", left-10, y.at(v)+4, fmt.Sprint(v))
	}
	p.text("", "middle", (left+right)/2, bottom+48, s.XTitle)
	fmt.Fprintf(&p.Buffer, `<text transform="translate(24 %g) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+bottom)/2, escape(s.YTitle))
	for _, m := range s.Points {
		p.mark(slices.Index(s.Series, m.Series), slices.Index(families, m.Family), x.at(m.X), y.at(m.Y), m.Tooltip)
	}
	row := 92.
	legend := func(heading string, names []string, mark func(i int)) {
		p.text("heading", "start", 650, row, heading)
		for i, name := range names {
			row += 23
			mark(i)
			p.text("", "start", 672, row, name)
		}
		row += 40
	}
	legend("Strategy", s.Series, func(i int) { p.mark(i, 0, 656, row-4, s.Series[i]) })
	legend("Layout", families, func(i int) { p.mark(-1, i, 656, row-4, families[i]) })
	return p.end(out)
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

// mark draws a shape; colour -1 is grey.
func (p *picture) mark(colour, shape int, x, y float64, tooltip string) {
	const size = 5.5
	class := "mark c"
	if colour >= 0 {
		class += strconv.Itoa(colour % Colours)
	}
	drawn := fmt.Sprintf(`circle cx="%.1f" cy="%.1f" r="%g"`, x, y, size)
	if corners := shapes[shape%len(shapes)]; len(corners) > 0 {
		points := make([]string, len(corners))
		for i, c := range corners {
			points[i] = fmt.Sprintf("%.1f,%.1f", x+size*c[0], y+size*c[1])
		}
		drawn = fmt.Sprintf(`polygon points="%s"`, strings.Join(points, " "))
	}
	fmt.Fprintf(&p.Buffer, `<g class="%s"><title>%s</title><%s/></g>`+"\n", class, escape(tooltip), drawn)
}
