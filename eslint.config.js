import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

// Syntax that the type-stripping runtime refuses or that the house style forbids everywhere.
const forbiddenEverywhere = [
  { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
  { selector: 'TSModuleDeclaration[kind="namespace"]', message: 'Use modules.' },
  { selector: 'ExportDefaultDeclaration', message: 'Use named exports.' },
]
// A later `no-restricted-syntax` replaces an earlier one, so the pure ground repeats the list above.
const forbiddenInPureCode = [
  ...forbiddenEverywhere,
  { selector: 'AwaitExpression', message: 'Pure code is synchronous.' },
  { selector: 'FunctionDeclaration[async=true]', message: 'Pure code is synchronous.' },
  { selector: 'ArrowFunctionExpression[async=true]', message: 'Pure code is synchronous.' },
  { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: '`now` is in the snapshot.' },
  {
    selector: 'MemberExpression[object.name="Date"][property.name="now"]',
    message: '`now` is in the snapshot.',
  },
  {
    selector: 'MemberExpression[object.name="Math"][property.name="random"]',
    message: 'No chance in pure code.',
  },
]
const impureGlobals = [
  'process',
  'fetch',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'performance',
  'crypto',
  'console',
]

export default defineConfig(
  globalIgnores(['node_modules/', '.venv/', 'data/', 'coverage/']),
  js.configs.recommended,
  { files: ['**/*.ts'], extends: [tseslint.configs.strictTypeChecked] },
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      'no-restricted-syntax': ['error', ...forbiddenEverywhere],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['scaling-algorithms/**/*.ts', 'src/model/**/*.ts', 'src/rollout/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', ...forbiddenInPureCode],
      'no-restricted-globals': ['error', ...impureGlobals],
    },
  },
  {
    // The environment is read in one place; everything else is handed its settings.
    files: ['src/**/*.ts', 'host-handlers/**/*.ts'],
    ignores: ['src/model/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only config/ reads the environment.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  { files: ['**/vitest.config.ts'], rules: { 'no-restricted-syntax': 'off' } },
)
