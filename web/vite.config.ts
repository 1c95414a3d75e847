import { defineConfig } from 'vite';

// The built page is part of the sources of the tracer, so that building that needs no node: names are without hashes, for
// changes to show as such, and whether a browser has the latest is asked by ETag.
export default defineConfig({
  base: '/',
  build: {
    outDir: '../tracer/data/web',
    emptyOutDir: true,
    target: 'es2022',
    cssTarget: 'chrome123',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { entryFileNames: 'page.js', assetFileNames: 'page[extname]', codeSplitting: false },
    },
  },
  // `npx vite` shows the sources as they are, with the data of a daemon on this host.
  server: { proxy: { '/api': 'http://127.0.0.1:7070' } },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
});
