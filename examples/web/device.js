/** The onnxruntime of a device: WebGPU, or WebAssembly on the processor. */

/**
 * @param asked "auto", "webgpu" or "wasm"
 * @returns { ort, provider, text }: the module, the execution provider, and where that is, in words
 * @throws if WebGPU is asked for, and is not there
 */
export async function runtimeFor(asked) {
  const gpu =
    asked === 'wasm' ? undefined : await globalThis.navigator?.gpu?.requestAdapter().catch(() => null);
  if (asked === 'webgpu' && !gpu) throw new Error('WebGPU cannot be used here: this browser has none.');
  const isSoftware = gpu?.info?.isFallbackAdapter ?? false; // the processor is faster without it
  const provider = asked === 'auto' ? (gpu && !isSoftware ? 'webgpu' : 'wasm') : asked;
  const ort = await import(`./node_modules/onnxruntime-web/dist/ort.${provider}.bundle.min.mjs`);
  ort.env.wasm.wasmPaths = new URL('node_modules/onnxruntime-web/dist/', import.meta.url).href;
  const why = [
    asked === 'auto' && (gpu ? 'WebGPU is software here' : 'no WebGPU here'),
    !globalThis.crossOriginIsolated && 'one thread, as the page is not isolated',
  ].filter(Boolean);
  const on = provider === 'webgpu' ? 'WebGPU' : `WebAssembly${why.length ? ` (${why.join(', ')})` : ''}`;
  return { ort, provider, text: `onnxruntime-web ${ort.env.versions.web} on ${on}` };
}
