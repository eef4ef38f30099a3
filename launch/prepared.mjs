/** Name of the file that was made beforehand of `entry`, a path below the root: in a bundle without sources (bundle.mjs). */
export function preparedName(entry) {
  return entry.replace(/\.ts$/, '.mjs').replaceAll('/', '--')
}
