/**
 * `npm run bench -- findings`: the tables and figures of docs/findings.md, from a folder of the recipe own-learning-rates.
 *
 * Options: --from DIR (made by `npm run train -- --recipe own-learning-rates --out DIR`; a folder of npm run sweep -- export
 * will do, too), --docs docs.
 *
 * Trains nothing. Writes the section "findings" of docs/findings.md and docs/images/findings-*.svg; what they mean is
 * written by hand around them.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  against,
  archiveFileName,
  archiveResults,
  bestTable,
  overAxis,
  sweepArchiveSchema,
  toMarkdown,
} from '@rankscope/experiments'
import { atBest, atOneRate, correlations, matchedNorms } from './findings/tables.ts'
import { replaceSection } from './output/markdown.ts'

const { values: options } = parseArgs({
  options: {
    from: { type: 'string' },
    docs: { type: 'string', default: join(import.meta.dirname, '../docs') },
  },
})
if (options.from === undefined) throw new Error('--from names the folder of the sweep')
const archive = sweepArchiveSchema.parse(
  JSON.parse(readFileSync(join(options.from, archiveFileName), 'utf8')),
)
const { sweep, commit } = archive
const results = archiveResults(archive)
const rate = 'optimizer.learningRate'
const test = sweep.metric === 'loss' ? 'evaluationLoss' : 'accuracy'

const figures = {
  'findings-rates.svg': overAxis(sweep, results, rate, test),
  'findings-norm.svg': against(sweep, results, 'frobenius', test),
  'findings-rank.svg': against(sweep, results, 'effectiveRank', test),
  'findings-forgetting.svg': against(sweep, results, 'frobenius', 'forgetting'),
}
mkdirSync(join(options.docs, 'images'), { recursive: true })
for (const [name, text] of Object.entries(figures)) writeFileSync(join(options.docs, 'images', name), text)

const finished = results.filter(({ outcome }) => outcome === 'finished').length
const parts = [
  `${results.length} runs, ${finished} finished; sources at commit ${commit ?? 'unknown'}.`,
  '### Each line at its own learning rate',
  toMarkdown(bestTable(sweep, results)),
  '![Test loss over the learning rate](images/findings-rates.svg)',
  '### What else those settings come to',
  toMarkdown(atBest(sweep, results)),
  '### All at one learning rate',
  toMarkdown(atOneRate(results, rate)),
  '### Sum and mean at matched size',
  toMarkdown(matchedNorms(results, rate)),
  '![Test loss against the norm](images/findings-norm.svg)',
  '### What norm and rank predict',
  toMarkdown(correlations(results)),
  '![Test loss against effective rank](images/findings-rank.svg)',
  '### Forgetting',
  '![Forgetting against the norm](images/findings-forgetting.svg)',
]
replaceSection(join(options.docs, 'findings.md'), 'findings', parts.map((part) => part.trim()).join('\n\n'))
