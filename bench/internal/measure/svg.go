package measure

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"unicode/utf8"
)

// The picture's measures, in pixels.
const (
	svgWidth             = 920
	barLeft, barRight    = 340, 800
	barHeight, barPitch  = 13, 22
	svgTop, groupHead    = 76, 34
	nameLength           = 46 // runes of a name that fit
	svgTitle, svgCaption = 17, 12
)

// svgHead opens the picture. Text and bars follow the reader's light or dark
// scheme, on a ground of their own; the colours read on both, and are told apart
// by those who see few colours (Okabe and Ito, 2008).
const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">
<title id="title">%s</title>
<style>
.ground { fill: #ffffff } .grid { stroke: #d8dee4 } .whisker { stroke: #1f2328 }
text { fill: #1f2328; font: %dpx system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.title { font-size: %dpx; font-weight: 600 } .soft { fill: #57606a } .heading { font-weight: 600 }
.plain { fill: #8c959f } .floor { fill: #d55e00 } .reference { fill: #0072b2 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } .grid { stroke: #262c34 } .whisker { stroke: #e6edf3 }
text { fill: #e6edf3 } .soft { fill: #9da7b1 }
.plain { fill: #6e7681 } .floor { fill: #f08a3c } .reference { fill: #56b4e9 }
}
</style>
<rect class="ground" width="100%%" height="100%%"/>
`

// scale maps ratios to pixels, by their logarithm.
type scale struct{ least, most float64 }

// scaleOf spans the ratios to the floor, in steps of a decade that it cuts into
// 1, 2 and 5.
func scaleOf(results []Result) scale {
	s := scale{least: 0.5, most: 2}
	for _, r := range results {
		s.least = min(s.least, r.Floors().Low*0.9)
		s.most = max(s.most, r.Floors().High*1.1)
	}
	return s
}

func (s scale) at(v float64) float64 {
	part := math.Log(max(v, s.least)/s.least) / math.Log(s.most/s.least)
	return barLeft + (barRight-barLeft)*part
}

func (s scale) ticks() (at []float64) {
	for decade := 0.01; decade <= s.most; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if v := decade * step; v >= s.least && v <= s.most && (step == 1 || s.most/s.least < 500) {
				at = append(at, v)
			}
		}
	}
	return at
}

// WriteSVG draws a bar for each result of the groups that have a floor: how many
// times the floor it takes, with its quartiles.
func WriteSVG(out io.Writer, title, caption string, results []Result) error {
	var compared []Result
	for _, r := range results {
		if r.ToFloor != nil {
			compared = append(compared, r)
		}
	}
	groups := Groups(compared)
	height := svgTop + len(groups)*groupHead + len(compared)*barPitch + 40
	var b bytes.Buffer
	fmt.Fprintf(&b, svgHead, svgWidth, height, escape(title), svgCaption, svgTitle)
	fmt.Fprintf(&b, `<text class="title" x="24" y="30">%s</text>`+"\n", escape(title))
	fmt.Fprintf(&b, `<text class="soft" x="24" y="52">%s</text>`+"\n", escape(caption))
	s := scaleOf(compared)
	for _, v := range s.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text class="soft" x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
			s.at(v), svgTop-4, s.at(v), height-34, s.at(v), height-16, round(v))
	}
	y := svgTop
	for _, group := range groups {
		fmt.Fprintf(&b, `<text class="heading" x="24" y="%d">%s</text>`+"\n", y+22, escape(group[0].Case.Group))
		y += groupHead
		for _, r := range group {
			drawBar(&b, s, r, y)
			y += barPitch
		}
	}
	b.WriteString("</svg>\n")
	_, err := out.Write(b.Bytes())
	return err
}

func drawBar(b *bytes.Buffer, s scale, r Result, y int) {
	f := r.Floors()
	class := [...]string{"plain", "floor", "reference"}[r.Case.Role]
	fmt.Fprintf(b, `<g><title>%s</title>`, escape(fmt.Sprintf("%s: %s, %s times the floor", r.Case.Name, Duration(r.Time().Median), digits(f.Median))))
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, barLeft-10, y+11, escape(shorten(r.Case.Name, nameLength)))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, barLeft, y, max(s.at(f.Median)-barLeft, 1), barHeight)
	middle := float64(y) + barHeight/2.
	fmt.Fprintf(b, `<line class="whisker" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, s.at(f.Low), middle, s.at(f.High), middle)
	fmt.Fprintf(b, `<text class="soft" x="%.1f" y="%d">%s</text></g>`+"\n", s.at(f.High)+8, y+11, digits(f.Median))
}

// round takes off what multiplying decades has left behind the point.
func round(v float64) float64 { return math.Round(v*100) / 100 }

func shorten(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// escape makes text safe to stand in XML.
func escape(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a Buffer does not fail
	return b.String()
}
