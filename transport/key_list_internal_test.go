package transport

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// A list of keys decodes as package json decodes a list of strings. Bodies that are not UTF-8 are refused before.
func FuzzKeyList(f *testing.F) {
	for _, body := range []string{
		`[]`, ` [ ] `, `["a"]`, `["a","b" , "" ]`, "[\t\"a\"\r\n,\n\"b\"]", `["\"","\\","a,b","]"]`, `["ü","\u00fc","\ud83d\ude00"]`,
		`null`, `{}`, `"a"`, `7`, `[null]`, `["a",7]`, `["a",["b"]]`, `[["a"]]`, `["a",]`, `["a" "b"]`, `["a"`, `["a"]]`, `[,]`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) {
			t.Skip()
		}
		var keys keyList
		var want []string
		err, wantErr := json.Unmarshal(body, &keys), json.Unmarshal(body, &want)
		if wantErr != nil {
			require.Error(t, err)
			require.Equal(t, bodyProblem(wantErr), bodyProblem(err))
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, []string(keys))
	})
}

// The keys of a batch take a few allocations, however many they are.
func TestAListOfKeysIsOneAllocation(t *testing.T) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = "some-key"
	}
	body, err := json.Marshal(keys)
	require.NoError(t, err)
	require.Less(t, testing.AllocsPerRun(10, func() {
		var all keyList
		if json.Unmarshal(body, &all) != nil || len(all) != len(keys) {
			panic("the list is not decoded")
		}
	}), 20.0)
}
