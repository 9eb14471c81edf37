package transport_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// object is a JSON object of the document.
type object = map[string]any

// apiDocument is the document with methods to search it. It supports the part of JSON
// Schema that the document uses, and reports an error for any other part.
type apiDocument struct{ root object }

// api is the document, read once.
var openAPI = sync.OnceValue(func() apiDocument {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var d apiDocument
	if err := json.Unmarshal(text, &d.root); err != nil {
		panic(err)
	}
	return d
})

// resolve follows references.
func (d apiDocument) resolve(v any) object {
	o, _ := v.(object)
	for o != nil && o["$ref"] != nil {
		at := any(d.root)
		for step := range strings.SplitSeq(strings.TrimPrefix(o["$ref"].(string), "#/"), "/") {
			inside, _ := at.(object)
			at = inside[step]
		}
		next, ok := at.(object)
		if !ok {
			panic(fmt.Sprintf("%v leads nowhere", o["$ref"]))
		}
		o = next
	}
	return o
}

// operation returns the operation of a request, and nil if the document has none.
func (d apiDocument) operation(method, path string) object {
	for template, item := range d.root["paths"].(object) {
		pattern := "^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), "[^/]+") + "$"
		if regexp.MustCompile(pattern).MatchString(path) {
			operation, _ := item.(object)[strings.ToLower(method)].(object)
			return operation
		}
	}
	return nil
}

// content returns the schema and the example of a response or request body.
func (d apiDocument) content(body object, kind string) (schema, example any, err error) {
	content, _ := body["content"].(object)
	for name, media := range content {
		if strings.HasPrefix(kind, name) {
			m := d.resolve(media)
			return m["schema"], m["example"], nil
		}
	}
	return nil, nil, fmt.Errorf("content type %q is not documented", kind)
}

// checkAnswer compares an answer with the document: the status, the content type, the
// headers, every field. A request that is not in the document may have any answer.
func (d apiDocument) checkAnswer(method, path string, status int, header map[string][]string, body []byte) error {
	operation := d.operation(method, path)
	if operation == nil {
		return nil
	}
	response := d.resolve(operation["responses"].(object)[fmt.Sprint(status)])
	if response == nil {
		return fmt.Errorf("status %d is not documented", status)
	}
	for name := range d.resolve(response["headers"]) {
		if len(header[http.CanonicalHeaderKey(name)]) != 1 {
			return fmt.Errorf("status %d: header %s is documented and not there", status, name)
		}
	}
	if response["content"] == nil {
		if len(body) > 0 {
			return fmt.Errorf("status %d: a body is not documented", status)
		}
		return nil
	}
	var kind string
	if all := header["Content-Type"]; len(all) == 1 {
		kind = all[0]
	}
	schema, _, err := d.content(response, kind)
	if err != nil {
		return fmt.Errorf("status %d: %w", status, err)
	}
	var value any = string(body)
	if strings.Contains(kind, "json") {
		if err := json.Unmarshal(body, &value); err != nil {
			return err
		}
	}
	return d.check(schema, value, "answer")
}

// check compares a value with a schema. A field that the schema does not name is an
// error, because the document must name all fields.
func (d apiDocument) check(schema, value any, at string) error {
	s := d.resolve(schema)
	for keyword := range s {
		if !slices.Contains(keywords, keyword) {
			return fmt.Errorf("%s: this test does not know the keyword %s", at, keyword)
		}
	}
	if choices, ok := s["anyOf"].([]any); ok {
		var errs []error
		for _, choice := range choices {
			err := d.check(choice, value, at)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	wrong := fmt.Errorf("%s: %T is not what is documented: %v", at, value, s["type"])
	switch s["type"] {
	case "string":
		text, ok := value.(string)
		if !ok {
			return wrong
		}
		if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(text) {
			return fmt.Errorf("%s: %q does not match %s", at, text, pattern)
		}
		if least, ok := s["minLength"].(float64); ok && utf8.RuneCountInString(text) < int(least) {
			return fmt.Errorf("%s: %q is too short", at, text)
		}
	case "integer":
		n, ok := value.(float64)
		if !ok || n != math.Trunc(n) {
			return wrong
		}
		if least, ok := s["minimum"].(float64); ok && n < least {
			return fmt.Errorf("%s: %v is less than %v", at, n, least)
		}
		if most, ok := s["maximum"].(float64); ok && n > most {
			return fmt.Errorf("%s: %v is more than %v", at, n, most)
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return wrong
		}
	case "array":
		items, ok := value.([]any)
		if !ok {
			return wrong
		}
		for i, item := range items {
			if err := d.check(s["items"], item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case "object":
		fields, ok := value.(object)
		if !ok {
			return wrong
		}
		return d.checkObject(s, fields, at)
	default:
		return wrong
	}
	return nil
}

var keywords = []string{"type", "anyOf", "enum", "description", "format", "pattern", "minLength", "minimum", "maximum", "default", "items", "properties", "required", "additionalProperties"}

func (d apiDocument) checkObject(s object, fields object, at string) error {
	for _, name := range list(s["required"]) {
		if _, there := fields[name]; !there {
			return fmt.Errorf("%s: field %s is missing", at, name)
		}
	}
	properties, listed := s["properties"].(object)
	others, open := s["additionalProperties"].(object)
	for name, value := range fields {
		schema, known := properties[name]
		if !known && open {
			schema, known = others, true
		}
		if !known && listed {
			return fmt.Errorf("%s: field %s is not documented", at, name)
		}
		if known {
			if err := d.check(schema, value, at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func list(v any) (texts []string) {
	items, _ := v.([]any)
	for _, item := range items {
		texts = append(texts, item.(string))
	}
	return texts
}
