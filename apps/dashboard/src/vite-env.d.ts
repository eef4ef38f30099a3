/// <reference types="vite/client" />
declare module 'plotly.js/lib/heatmap'
declare module 'plotly.js/lib/surface'
