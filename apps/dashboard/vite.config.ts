/** Development server and build of the dashboard. `RANKSCOPE_SERVER` names the server that requests are passed on to. */
import react from '@vitejs/plugin-react'
import { defineConfig, loadEnv } from 'vite'

export default defineConfig(({ mode }) => {
  const environment = loadEnv(mode, import.meta.dirname, 'RANKSCOPE_')
  const target = environment['RANKSCOPE_SERVER'] ?? 'http://127.0.0.1:7777'
  return {
    // Relative: the server puts the path before it under which the pages lie.
    base: './',
    plugins: [react()],
    // A helper inside plotly.js looks for Node’s global object.
    define: { global: 'globalThis' },
    server: {
      port: 5173,
      proxy: {
        '/api': { target },
        '/socket.io': { target, ws: true },
      },
    },
    build: {
      target: 'es2022',
      // plotly.js is one chunk of about 1.2 MB that is loaded when the first chart appears.
      chunkSizeWarningLimit: 1600,
    },
  }
})
