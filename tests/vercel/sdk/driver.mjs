// Runs purges with Vercel's own SDK. Reads a JSON list of {server, token, operation, request} from standard input and
// writes one JSON line for each, in order: {"ok": true} or what the SDK raised. All in one process, because importing
// the SDK costs more than calling it. Only loopback servers are accepted.
import { readFileSync } from "node:fs";
import { VercelCore } from "@vercel/sdk/core.js";
import { edgeCacheDangerouslyDeleteBySrcImages } from "@vercel/sdk/funcs/edgeCacheDangerouslyDeleteBySrcImages.js";
import { edgeCacheInvalidateBySrcImages } from "@vercel/sdk/funcs/edgeCacheInvalidateBySrcImages.js";

const operations = {
  delete: edgeCacheDangerouslyDeleteBySrcImages,
  invalidate: edgeCacheInvalidateBySrcImages,
};

async function run({ server, token, operation, request }) {
  if (new URL(server).hostname !== "127.0.0.1") {
    throw new Error(`not a loopback server: ${server}`);
  }
  const client = new VercelCore({ serverURL: server, bearerToken: token });
  const result = await operations[operation](client, request);
  if (result.ok) {
    return { ok: true };
  }
  const { name, message, statusCode, body } = result.error;
  return { ok: false, name, message, statusCode, body };
}

for (const job of JSON.parse(readFileSync(0, "utf8"))) {
  console.log(JSON.stringify(await run(job)));
}
