// Package api holds the HTTP interface that members and their clients share: the JSON
// documents, the refusals, the names of headers, and the bounds of keys. Each document
// has one type, which the server writes and the client reads.
//
// The documents are described in openapi.json, which every member serves at GET
// /v1/openapi.json. Later releases may add fields, and never remove one. A reader must
// ignore the fields that it does not know.
//
//	resp, err := http.Get("http://10.0.0.1:8080/v1/lookup?key=user:42")
//	if err != nil {
//		return err
//	}
//	defer resp.Body.Close()
//	var answer api.Placement
//	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
//		return err
//	}
//	fmt.Println(answer.Primary)
//
// Package client does this for all documents. Package api has no behaviour of its own but
// the binary form of [Placements], and imports only ring and rebalance.
package api
