/** `npm run screenshots`: the pictures of docs/images, of runs made for them. */
import base from '../playwright.config.ts'

export default {
  ...base,
  testDir: '.',
  outputDir: '../results',
  testMatch: '**/*.pictures.ts',
  timeout: 600_000,
}
