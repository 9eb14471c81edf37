// Answers lookups from a copy of the table: node lookup.js http://10.0.0.1:8080 key...
import { Mirror } from './mirror.js';

const [url, ...keys] = process.argv.slice(2);
const mirror = new Mirror(url);
await mirror.follow();
for (const key of keys) console.log(JSON.stringify(mirror.lookup(key)));
