#!/usr/bin/env node
/** Serves this folder on localhost: `node server.mjs [port]`. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
const HEADERS = {
  // Browsers give WebAssembly threads only to pages that are isolated from others by these two.
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  // As in index.html, and for the worker, which has a policy of its own: no other origin is reached.
  'Content-Security-Policy': "connect-src 'self'",
  'Cache-Control': 'no-cache',
};

/** Starts to serve; port 0 is any that is free. */
export function serve(port) {
  const server = createServer(async ({ url }, response) => {
    try {
      const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
      const file = join(FOLDER, path.endsWith('/') ? `${path}index.html` : path);
      const found = await stat(file);
      if (!found.isFile()) throw new Error('a folder');
      const type = TYPES[extname(file)] ?? 'application/octet-stream';
      const content = createReadStream(file).on('error', () => response.destroy());
      response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Length': found.size });
      content.pipe(response);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject).listen(port, 'localhost', () => resolve(server));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await serve(Number(process.argv[2] ?? 8080));
  console.log(`http://localhost:${server.address().port}/`);
}
