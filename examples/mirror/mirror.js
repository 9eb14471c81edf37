// A copy of a cluster's table that answers lookups, as docs/protocol.md describes it.
import xxhash from 'xxhash-wasm';

const { h64 } = await xxhash();
const bits = (x) => BigInt.asUintN(64, x);

// mix is the finalizer of SplitMix64.
function mix(x) {
  x = bits((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = bits((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

export class Mirror {
  constructor(url) { this.url = url; }

  // follow fetches the table, or waits up to 30 s for another one. Call it in a loop.
  async follow() {
    const headers = { Accept: 'application/json', ...(this.etag && { 'If-None-Match': this.etag }) };
    const answer = await fetch(`${this.url}/v1/table?wait=30s`, { headers });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    const table = await answer.json();
    this.members = new Map(table.members.map((m) => [m.id, m]));
    [this.serving, this.target] = [table.serving, table.target].map((t) => t && { ...t, hashes: hashes(t) });
    this.etag = answer.headers.get('ETag');
  }

  lookup(key) {
    const p = Number((h64(key) * BigInt(this.serving.partitionCount)) >> 64n);
    const owners = this.owners(this.serving, p);
    const first = rows(this.serving, p)[0];
    const alive = owners.find((o) => this.members.get(o.id)?.state !== 'away');
    let token = hashOf(this.serving, p);
    const answer = { key, partition: p, primary: alive ? alive.id : this.serving.nodes[first].id, owners };
    if (this.target) {
      const next = hashOf(this.target, p);
      if (next !== token) token = mix(token ^ mix(next));
      answer.target = this.owners(this.target, p);
    }
    return { ...answer, token: token.toString(16).padStart(16, '0') };
  }

  // owners lists the owners of a partition. Owners that are away come last.
  owners(table, p) {
    const away = (o) => (this.members.get(o.id)?.state === 'away' ? 1 : 0);
    return rows(table, p).map((i) => table.nodes[i]).map(({ id, region, zone }) => {
      const httpAddr = this.members.get(id)?.httpAddr;
      return { id, region, zone, ...(httpAddr && { httpAddr }) };
    }).sort((a, b) => away(a) - away(b));
  }
}

const rows = (t, p) => t.owners.slice(p * t.replicas, (p + 1) * t.replicas);
const hashes = (t) => t.nodes.map((n) => {
  let h = h64(n.id);
  if (n.start) h = mix(h ^ mix(BigInt(n.start)));
  return t.writeQuorum ? mix(h ^ mix((BigInt(t.writeQuorum) << 32n) | BigInt(t.replicationFactor))) : h;
});
const hashOf = (t, p) => rows(t, p).reduce((h, i) => mix(h ^ t.hashes[i]), mix(BigInt(p) + 1n));
