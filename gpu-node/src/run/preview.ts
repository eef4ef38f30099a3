/** The first examples of a configuration as the model would see them. Reads no more of the files than that takes. */
import { type DataPreview, type DataSource, type PreviewRequest, previewLimits } from '@rankscope/protocol'
import { ChatTemplate } from '../data/chat-template.ts'
import { ignoredLabel, type TokenExample } from '../data/examples.ts'
import { readConfig } from '../model/folder.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { Roots } from './environment.ts'
import { noData } from './load-data.ts'
import { type LoadDataOptions, loadSource, type SourceSettings } from './load-source.ts'
import { resolveDataPath, resolveModelPath } from './paths.ts'

/** Throws what the run would end with, naming file and line, as far as it lies within the first records. */
export async function previewData({ config, examples }: PreviewRequest, roots: Roots): Promise<DataPreview> {
  const folder = resolveModelPath(config.model.path, roots)
  const { vocabularySize } = readConfig(folder)
  const tokenizer = TextTokenizer.load(folder, vocabularySize)
  const options: LoadDataOptions = {
    tokenizer,
    vocabularySize,
    evaluationExamples: 1,
    resolvePath: (path) => resolveDataPath(path, roots),
    chatTemplate: () => ChatTemplate.load(folder),
    cacheFolder: null,
  }
  const sources = sourcesOf(config.data)
  const each = Math.ceil(examples / sources.length)
  const preview: DataPreview = { examples: [], counts: [], notes: [...tokenizer.notes] }
  for (const settings of sources) {
    const limit = Math.min(each, settings.limit ?? each)
    const { name, train, counts, notes } = await loadSource({ ...settings, limit }, options)
    preview.examples.push(...train.slice(0, each).map((example) => shown(name, example, tokenizer)))
    preview.counts.push(...counts.filter(({ split }) => split === 'train'))
    preview.notes.push(...notes)
  }
  return { ...preview, examples: preview.examples.slice(0, previewLimits.examples) }
}

/** Training data alone: nothing is held back and no other file is opened. */
function sourcesOf(data: PreviewRequest['config']['data']): SourceSettings[] {
  const { source } = data
  const single = { ...data, validationShare: 0 }
  if (source.kind === 'none') throw noData()
  if (source.kind !== 'mix') return [{ ...single, name: null, source: trainingOnly(source) }]
  return source.sources.map(({ name, source: one, template, limit }) => ({
    ...single,
    name,
    source: trainingOnly(one),
    template: template ?? data.template,
    limit: limit ?? data.limit,
  }))
}

function trainingOnly<S extends Exclude<DataSource, { kind: 'mix' | 'none' }>>(source: S): S {
  return source.kind === 'task'
    ? { ...source, validationExamples: 0, evaluationExamples: 1 }
    : { ...source, evaluationPath: null, validationPath: null }
}

function shown(source: string, { inputIds, labels }: TokenExample, tokenizer: TextTokenizer) {
  const ids = [...inputIds.subarray(0, previewLimits.tokens)]
  return {
    source,
    // The first token is never predicted, whatever its label says.
    tokens: ids.map((id, at) => ({
      id,
      text: tokenizer.tokenText(id),
      trained: at > 0 && labels[at] !== ignoredLabel,
    })),
    length: inputIds.length,
  }
}
