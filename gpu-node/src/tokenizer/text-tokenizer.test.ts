import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { builtInModels } from '../daemon/daemon.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { TextTokenizer } from './text-tokenizer.ts'

const special = (id: number, content: string, flags: object = {}) => ({
  ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  ...flags,
})
const model = {
  type: 'BPE',
  unk_token: '<unk>',
  vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, '▁': 3, a: 4, b: 5, ab: 6, '.': 7 },
  merges: ['a b'],
}
const prefix = { SpecialToken: { id: '<s>', type_id: 0 } }
const suffix = { SpecialToken: { id: '</s>', type_id: 0 } }
const text = { Sequence: { id: 'A', type_id: 0 } }
const template = (...single: object[]) => ({
  type: 'TemplateProcessing',
  single,
  pair: [],
  special_tokens: {
    '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] },
    '</s>': { id: '</s>', ids: [2], tokens: ['</s>'] },
  },
})
const definition = {
  version: '1.0',
  added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null as object | null,
  decoder: { type: 'Fuse' } as object,
  model: model as object,
}
const config = { bos_token: '<s>', eos_token: '</s>' }
const make = (parts: object = {}, settings: object = {}, vocabularySize = 8) =>
  TextTokenizer.from({ ...definition, ...parts }, { ...config, ...settings }, vocabularySize)

describe('what stands around a text', () => {
  it('an end token of the post-processor is left out, and told', () => {
    const open = make({ post_processor: template(prefix, text) })
    expect(open.encode('ab')).toEqual([1, 6])
    expect(open.notes).toEqual([])
    const pair = (id: string, at: number) => [id, at]
    for (const post_processor of [
      template(prefix, text, suffix),
      {
        type: 'Sequence',
        processors: [{ type: 'ByteLevel' }, template(text, suffix), template(prefix, text)],
      },
      { type: 'RobertaProcessing', cls: pair('<s>', 1), sep: pair('</s>', 2), trim_offsets: true },
      { type: 'BertProcessing', cls: pair('<s>', 1), sep: pair('</s>', 2) },
    ]) {
      const closing = make({ post_processor })
      expect(closing.encode('ab')).toEqual([1, 6])
      expect(closing.encode('ab</s>')).toEqual([1, 6, 2])
      expect(closing.notes).toEqual([expect.stringContaining('</s> after every text')])
    }
  })

  it('where the two files disagree about the begin token, tokenizer.json is followed, and it is told', () => {
    const without = make({ post_processor: null }, { add_bos_token: true })
    expect(without.encode('a')).toEqual([4])
    expect(without.notes).toEqual([expect.stringContaining('add_bos_token true')])
    const added = make({ post_processor: template(prefix, text) }, { add_bos_token: false })
    expect(added.encode('a')).toEqual([1, 4])
    expect(added.notes).toEqual([expect.stringContaining('add_bos_token false')])
    expect(make({ post_processor: template(prefix, text) }, { add_bos_token: true }).notes).toEqual([])
  })

  it('what tokenizer_config.json says of spaces and special tokens, and tokenizer.json does not, is told', () => {
    const pre_tokenizer = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
    expect(make({ pre_tokenizer }, { add_prefix_space: false }).notes).toEqual([])
    expect(make({ pre_tokenizer }, { add_prefix_space: true }).notes).toEqual([
      expect.stringMatching(/add_prefix_space true, the pre-tokenizer of tokenizer.json false/),
    ])
    const split = make({}, { split_special_tokens: true })
    expect(split.encode('a</s>')).toEqual([4, 2])
    expect(split.notes).toEqual([expect.stringMatching(/split_special_tokens/)])
  })

  it.each<[string, object, RegExp]>([
    ['another token at its end', template(prefix, text, prefix), /puts token 1 after the text/],
    ['no text', template(prefix), /leaves the text out/],
    ['the second text', template({ Sequence: { id: 'B', type_id: 0 } }), /does not place one text once/],
    [
      'an id that the vocabulary contradicts',
      { ...template(prefix, text), special_tokens: { '<s>': { id: '<s>', ids: [5], tokens: ['<s>'] } } },
      /gives "<s>" the id 5, the vocabulary 1/,
    ],
    ['a token without id', { ...template(prefix, text), special_tokens: {} }, /names "<s>" without its id/],
  ])('a post-processor with %s is refused', (_, post_processor, message) => {
    expect(() => make({ post_processor })).toThrow(message)
  })
})

describe('tokens and the vocabulary of the model', () => {
  it('padding takes the end token where the pad token is absent or not embedded', () => {
    expect(make().padTokenId).toBe(2)
    expect(make({}, { pad_token: '<unk>' }).padTokenId).toBe(0)
    expect(make({}, { pad_token: { content: '<s>' } }).padTokenId).toBe(1)
    const padded = { added_tokens: [...definition.added_tokens, special(8, '<pad>')] }
    expect(make(padded, { pad_token: '<pad>' }).padTokenId).toBe(2)
    expect(make(padded, { pad_token: '<pad>' }, 9).padTokenId).toBe(8)
  })

  it('a token that the model does not embed is refused when a text holds it, with token, id and sizes', () => {
    const added_tokens = [...definition.added_tokens, special(8, '<|sep|>')]
    const tokenizer = make({ added_tokens })
    expect(tokenizer.encode('ab')).toEqual([6])
    expect(() => tokenizer.encode('a<|sep|>b')).toThrow(
      expect.objectContaining({
        code: 'TOKENIZER_BROKEN',
        message:
          'tokenizer.json: token "<|sep|>" (part of the text) has id 8, outside the model\'s vocabulary of 8 (vocab_size in config.json)',
        hint: expect.stringContaining('Resize'),
      }),
    )
    // Whatever id the reference library would give it.
    const further = make({ added_tokens: [...definition.added_tokens, special(11, '<|sep|>')] })
    expect(() => further.encode('<|sep|>')).toThrow(/has id 11, outside the model's vocabulary of 8/)
    expect(() => make({ model }, {}, 6).encode('.')).toThrow(/token "\." .* id 7/)
  })

  it('end and begin tokens that the model does not embed are refused at once', () => {
    expect(() => make({}, {}, 2)).toThrow(/token "<\/s>" \(eos_token\) has id 2, outside/)
    const vocab = { ...model.vocab, '<s>': 20 }
    const parts = { model: { ...model, vocab }, added_tokens: [special(2, '</s>')] }
    const ids = { '<s>': { id: '<s>', ids: [20], tokens: ['<s>'] } }
    const post_processor = { ...template(prefix, text), special_tokens: ids }
    expect(() => make({ ...parts, post_processor })).toThrow(/token "<s>" \(begins every text\) has id 20/)
    expect(make(parts).encode('a')).toEqual([4])
  })

  it('special tokens that only tokenizer_config.json names are found in the text and left out of answers', () => {
    const tokenizer = make({ added_tokens: [] }, { additional_special_tokens: ['.'] })
    expect(tokenizer.encode('ab.</s>')).toEqual([6, 7, 2])
    expect(tokenizer.decode([6, 7, 2, 99])).toBe('ab')
  })

  it('tokenizer_config.json decides how an added token is found, and it is told', () => {
    const added_tokens = [...definition.added_tokens, special(8, '<x>', { special: false })]
    const vocab = { ...model.vocab, '<': 9, x: 10, '>': 11, ' ': 12 }
    const parts = { added_tokens: added_tokens.map((one) => ({ ...one, id: one.id === 8 ? 13 : one.id })) }
    const make13 = (flags: object) =>
      make(
        { ...parts, model: { ...model, vocab: { ...vocab, c: 8 } } },
        { added_tokens_decoder: { 13: { content: '<x>', ...flags } } },
        14,
      )
    const same = make13({
      lstrip: false,
      rstrip: false,
      single_word: false,
      normalized: false,
      special: false,
    })
    expect(same.notes).toEqual([])
    expect(same.encode('a <x> b')).toEqual([4, 12, 13, 12, 5])
    const other = make13({ lstrip: true, rstrip: true, special: true })
    expect(other.encode('a <x> b')).toEqual([4, 13, 5])
    expect(other.decode([4, 13, 5])).toBe('ab')
    expect(other.notes).toEqual([
      expect.stringContaining('says special true, lstrip true, rstrip true of <x>, tokenizer.json otherwise'),
    ])
    expect(make13({ single_word: true }).encode('a<x>b')).toEqual([4, 9, 10, 11, 5])
  })

  it('special tokens that tokenizer.json lacks have the next ids, as in transformers, and it is told', () => {
    const settings = {
      pad_token: '<p>',
      unk_token: '<u>',
      bos_token: '<b>',
      extra_special_tokens: ['<q>'],
      additional_special_tokens: ['<never>'],
    }
    const tokenizer = make({}, settings, 12)
    expect(tokenizer.encode('<b><u><p><q>a')).toEqual([8, 9, 10, 11, 4])
    expect(tokenizer.padTokenId).toBe(10)
    expect(tokenizer.notes).toHaveLength(4)
    expect(tokenizer.notes[3]).toMatch(/<q>, which tokenizer.json lacks: it is token 11/)
    expect(() => make({}, settings).encode('<q>')).toThrow(/"<q>" \(part of the text\) has id 11, outside/)
    expect(make({}, settings).padTokenId).toBe(2)
  })

  it('special_tokens_map.json is followed unless tokenizer_config.json describes the added tokens', () => {
    const map = { eos_token: { content: '.' }, pad_token: null }
    const from = (settings: object) =>
      TextTokenizer.from(definition, { eos_token: '</s>', ...settings }, 8, { map })
    const followed = from({})
    expect(followed.endToken).toBe('.')
    expect(followed.notes).toEqual([
      expect.stringMatching(
        /special_tokens_map.json says eos_token \., tokenizer_config.json <\/s>: special_tokens_map/,
      ),
    ])
    const described = from({ added_tokens_decoder: { 2: { content: '</s>' } } })
    expect(described.endToken).toBe('</s>')
    expect(described.notes).toEqual([expect.stringMatching(/: tokenizer_config.json is followed/)])
    expect(from({ eos_token: null }).endToken).toBe('.')
    expect(() => TextTokenizer.from(definition, config, 8, { map: { eos_token: 7 } })).toThrow(
      /special_tokens_map.json: eos_token/,
    )
    expect(followed.fingerprint).not.toBe(make().fingerprint)
  })

  it.each<[string, object, object, RegExp]>([
    ['no end token', {}, { eos_token: null }, /eos_token null is not in the vocabulary/],
    ['an unknown end token', {}, { eos_token: '<e>' }, /eos_token "<e>" is not in the vocabulary/],
    [
      'an end token that only words alone are',
      { added_tokens: [special(2, '</s>', { single_word: true })] },
      {},
      /"<\/s>" of eos_token does not become its token 2/,
    ],
    ['a negative id', { added_tokens: [special(-1, '<x>')] }, {}, /added_tokens\[0\]\.id is -1/],
    [
      'an id that two added tokens share',
      { added_tokens: [special(8, 'x'), special(8, 'y')] },
      {},
      /id 8 belongs/,
    ],
    ['an id of the vocabulary for an added token', { added_tokens: [special(4, 'x')] }, {}, /id 4 belongs/],
    [
      'two ids for one token',
      { added_tokens: [special(8, 'a')] },
      {},
      /"a" has id 8, elsewhere in the file 4/,
    ],
    [
      'an id that the reference library would not give',
      { added_tokens: [...definition.added_tokens, special(8, '<x>'), special(11, '<y>')] },
      {},
      /"<y>" has id 11, and the reference library, .* would give it 9/,
    ],
    [
      'a hole of the vocabulary before a new token',
      { model: { ...model, vocab: { ...model.vocab, c: 9 } }, added_tokens: [special(10, '<x>')] },
      {},
      /"<x>" has id 10, .* would give it 9/,
    ],
    [
      'a token that normalising makes empty',
      {
        normalizer: { type: 'Strip', strip_left: true, strip_right: true },
        added_tokens: [...definition.added_tokens, special(8, '  ', { special: false, normalized: true })],
      },
      {},
      /makes added token " {2}" an empty text/,
    ],
    [
      'two tokens that normalising makes one',
      {
        normalizer: { type: 'Lowercase' },
        added_tokens: [
          ...definition.added_tokens,
          special(8, '<X>', { special: false, normalized: true }),
          special(9, '<x>', { special: false, normalized: true }),
        ],
      },
      {},
      /makes added token "<x>" the same text as "<X>"/,
    ],
    [
      'a token that only tokenizer_config.json has',
      {},
      { added_tokens_decoder: { 9: { content: '<x>' } } },
      /gives "<x>" the id 9, tokenizer.json has no such token/,
    ],
    ['another id there', {}, { added_tokens_decoder: { 9: { content: 'a' } } }, /the id 9, tokenizer.json 4/],
    ['a vocabulary with a negative id', { model: { ...model, vocab: { a: -1 } } }, {}, /gives "a" the id -1/],
    ['a vocabulary with half an id', { model: { ...model, vocab: { a: 0.5 } } }, {}, /gives "a" the id 0.5/],
    [
      'a vocabulary with an id twice',
      { model: { ...model, vocab: { ...model.vocab, c: 5 } } },
      {},
      /gives the id 5 to "b" and "c"/,
    ],
    [
      'merges of unknown tokens',
      { model: { ...model, merges: ['a c'] } },
      {},
      /merges\[0\] "a c": "c" is not/,
    ],
    ['merges of three', { model: { ...model, merges: [['a', 'b', 'a']] } }, {}, /is not a pair/],
    [
      'an unknown token that is none',
      { model: { ...model, unk_token: '?' } },
      {},
      /model.unk_token "\?" is not/,
    ],
  ])('%s is refused', (_, parts, settings, message) => {
    expect(() => make(parts, settings, 20)).toThrow(
      expect.objectContaining({ code: 'TOKENIZER_BROKEN', message: expect.stringMatching(message) }),
    )
  })
})

describe('features of tokenizer.json', () => {
  it.each<[object, RegExp]>([
    [{ model: { ...model, dropout: 0.1 } }, /model\.dropout is 0\.1/],
    [{ model: { ...model, continuing_subword_prefix: '##' } }, /model\.continuing_subword_prefix is "##"/],
    [{ model: { ...model, end_of_word_suffix: '</w>' } }, /model\.end_of_word_suffix is "<\/w>"/],
    [{ model: { ...model, type: 'WordPiece' } }, /model\.type is "WordPiece"/],
    [{ model: { ...model, novelty: true } }, /model\.novelty is true/],
    [
      { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AA' } },
      /normalizer\.type is "Precompiled"/,
    ],
    [
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Nmt' }] } },
      /normalizer\.normalizers\[1\]\.type is "Nmt"/,
    ],
    [
      { pre_tokenizer: { type: 'Split', pattern: { String: 'a' }, behavior: 'Merged', invert: false } },
      /pre_tokenizer\.behavior is "Merged"/,
    ],
    [
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'UnicodeScripts' }] } },
      /pre_tokenizer\.pretokenizers\[0\]\.type is "UnicodeScripts"/,
    ],
    [
      { pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'last' } },
      /pre_tokenizer\.prepend_scheme is "last"/,
    ],
    [{ decoder: { type: 'CTC', pad_token: '-' } }, /decoder\.type is "CTC"/],
    [{ decoder: { type: 'WordPiece', prefix: '##', cleanup: true } }, /decoder\.type is "WordPiece"/],
    [{ post_processor: { type: 'Other' } }, /post_processor\.type is "Other"/],
    [{ added_tokens: [special(2, '</s>', { whole_line: true })] }, /added_tokens\[0\]\.whole_line is true/],
    [
      {
        normalizer: { type: 'Prepend', prepend: '▁' },
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
      },
      /prepend_scheme "first" after Prepend/,
    ],
    [
      {
        normalizer: { type: 'Replace', pattern: { Regex: 'a+' }, content: 'b' },
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
      },
      /prepend_scheme "first" after Replace/,
    ],
    [{ normalizer: { type: 'Replace', pattern: { String: '' }, content: 'b' } }, /normalizer\.pattern/],
    [{ extra: {} }, /extra is \{\}/],
  ])('%j is refused by its name and place', (parts, message) => {
    expect(() => make(parts)).toThrow(
      expect.objectContaining({ code: 'TOKENIZER_BROKEN', message: expect.stringMatching(message) }),
    )
  })

  it.each([
    '(?>a+)b',
    'a++',
    'a?+',
    String.raw`\Ga`,
    '(?i)a',
    '(?i:ss)',
    '(?i:é)',
    '(?i:[a-c])',
    '^',
    String.raw`(a)|b\1`,
    String.raw`\ud83c\udf4e`,
  ])('the pattern %s, which JavaScript reads otherwise or not at all, is refused', (Regex) => {
    const pre_tokenizer = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }
    expect(() => make({ pre_tokenizer })).toThrow(expect.objectContaining({ code: 'TOKENIZER_BROKEN' }))
  })

  it('a text comes back to the letter: no space before punctuation is taken out', () => {
    const pre_tokenizer = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never', split: false }
    const decoder = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never', split: false }
    const tokenizer = make({ pre_tokenizer, decoder }, { clean_up_tokenization_spaces: true })
    expect(tokenizer.decode(tokenizer.encode('ab . a .'))).toBe('ab . a .')
  })
})

describe('tokenizers that are in use', () => {
  const mini = JSON.parse(readFileSync(join(builtInModels, 'rankscope-mini', 'tokenizer.json'), 'utf8'))
  const flags = { add_prefix_space: false, trim_offsets: true }
  const split = (Regex: string) => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  })
  const llama3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  const byteLevel = (use_regex: boolean) => ({ type: 'ByteLevel', ...flags, use_regex })
  const sequence = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers })
  it.each<[string, object]>([
    [
      'Llama 3',
      {
        pre_tokenizer: sequence(split(llama3), byteLevel(false)),
        model: { ...mini.model, ignore_merges: true },
      },
    ],
    [
      'Qwen2 and Qwen3',
      {
        normalizer: { type: 'NFC' },
        pre_tokenizer: sequence(split(llama3.replace('{1,3}', '')), byteLevel(false)),
        post_processor: byteLevel(false),
      },
    ],
    ['SmolLM', { pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) }],
  ])('%s: its features are read, and texts come back', (_, parts) => {
    const tokenizer = TextTokenizer.from({ ...mini, ...parts }, { eos_token: '<|end|>' }, 768)
    const sample = "It's 1234 naïve — 漢字 😀,\n\n  isn't it? "
    expect(tokenizer.decode(tokenizer.encode(sample))).toBe(sample)
  })

  it.each<[string, object]>([
    [
      'Llama 2 and Mistral',
      {
        normalizer: {
          type: 'Sequence',
          normalizers: [
            { type: 'Prepend', prepend: '▁' },
            { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
          ],
        },
      },
    ],
    [
      'Llama 2, as it is saved now',
      { pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false } },
    ],
  ])('%s: its features are read, and texts come back', (_, parts) => {
    const bytes = Array.from(
      { length: 256 },
      (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    )
    const vocab = Object.fromEntries([...Object.keys(model.vocab), ...bytes].map((token, id) => [token, id]))
    const decoders = [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ]
    const definition = {
      ...parts,
      model: { ...model, vocab, byte_fallback: true, fuse_unk: true },
      decoder: { type: 'Sequence', decoders },
      post_processor: template(prefix, text),
    }
    const sample = "ab naïve — 漢字 😀,\n\n  isn't it? ."
    const tokenizer = make(definition, {}, 300)
    expect(tokenizer.decode(tokenizer.encode(sample))).toBe(sample)
  })

  it.skipIf(sharedMissing)(`every shared model has a tokenizer that is read ${sharedMissing ?? ''}`, () => {
    const folders = readdirSync(sharedPath('data/models'))
    expect(folders.length).toBeGreaterThan(2)
    for (const name of folders) {
      const folder = sharedPath('data/models', name)
      const { vocab_size } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
        vocab_size: number
      }
      expect(TextTokenizer.load(folder, vocab_size).notes).toEqual([])
    }
  })
})
