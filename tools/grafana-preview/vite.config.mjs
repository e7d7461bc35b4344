import { defineConfig } from 'vite';
import react from '@vitejs/plugin-react';
const stub = {
  name: 'stub-monaco',
  enforce: 'pre',
  resolveId(id, imp) {
    if (
      /ReactMonacoEditor\.mjs$|OpenLayersProvider|CodeMirror\/CodeEditor\.mjs$/.test(id) ||
      /^(monaco-editor|@monaco-editor\/react)/.test(id)
    )
      return '\0stub';
  },
  load(id) {
    if (id === '\0stub')
      return 'const N=()=>null; export default N; export {N as ReactMonacoEditor, N as CodeMirrorEditor, N as OpenLayersProvider, N as DiffEditor, N as Editor, N as loader, N as useMonaco};';
  },
};
export default defineConfig({
  plugins: [stub, react()],
  define: { 'process.env': {}, global: 'globalThis' },
  base: './',
  build: {
    target: 'es2022',
    minify: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 99999,
    commonjsOptions: { transformMixedEsModules: true },
  },
  resolve: {
    dedupe: ['react', 'react-dom', 'rxjs', '@grafana/data', '@grafana/ui', '@grafana/runtime', '@emotion/css'],
  },
});
