import type { ContractCase } from '../case.ts'
import { answers, refuses } from '../case.ts'

/** tests-py/queries/graphql_query/enums of the engine's sources. */
const source = 'hasura/graphql-engine server/tests-py/queries/graphql_query/enums'

export const enums: readonly ContractCase[] = [
  answers(
    'the rows of an enum table are an enum, their comments its descriptions',
    '{ __type(name: "genre_enum") { kind name enumValues { name description } } }',
    {
      __type: {
        kind: 'ENUM',
        name: 'genre_enum',
        enumValues: [
          { name: 'drama', description: null },
          { name: 'prose', description: 'Sentences.' },
          { name: 'verse', description: 'Lines.' },
        ],
      },
    },
    { fact: `${source}/introspect.yaml` },
  ),
  answers(
    'columns that refer to it are of its type',
    '{ __type(name: "reader_insert_input") { inputFields { name type { name } } } }',
    {
      __type: {
        inputFields: [
          { name: 'id', type: { name: 'Int' } },
          { name: 'first_name', type: { name: 'String' } },
          { name: 'last_name', type: { name: 'String' } },
          { name: 'genre', type: { name: 'genre_enum' } },
          { name: 'grade', type: { name: 'shop_grade_enum' } },
          { name: 'points', type: { name: 'Int' } },
        ],
      },
    },
    { onlyHere: 'the order in which introspection lists fields' },
  ),
  answers(
    'the table itself is still one, of texts',
    '{ genre(where: {value: {_like: "%e%"}}, order_by: {value: asc}) { value comment } genre_by_pk(value: "drama") { value } }',
    {
      genre: [
        { value: 'prose', comment: 'Sentences.' },
        { value: 'verse', comment: 'Lines.' },
      ],
      genre_by_pk: { value: 'drama' },
    },
  ),
  answers(
    'a comparison has five operators',
    '{ __type(name: "genre_enum_comparison_exp") { inputFields { name } } }',
    {
      __type: {
        inputFields: ['_eq', '_neq', '_in', '_nin', '_is_null'].map((name) => ({ name })),
      },
    },
    { onlyHere: 'the order in which introspection lists fields' },
  ),
  answers(
    'it is read as its name',
    '{ reader(order_by: {id: asc}) { genre grade } }',
    {
      reader: [
        { genre: 'verse', grade: 'gold' },
        { genre: 'prose', grade: null },
        { genre: 'verse', grade: 'basic' },
      ],
    },
    { fact: `${source}/select_enum_field.yaml` },
  ),
  answers(
    'equal, in, unequal, not in, null',
    `{
      a: reader(where: {genre: {_eq: verse}}, order_by: {id: asc}) { id }
      b: reader(where: {grade: {_in: [gold, basic]}}, order_by: {id: asc}) { id }
      c: reader(where: {genre: {_neq: verse}}) { id }
      d: reader(where: {grade: {_nin: gold}}) { id }
      e: reader(where: {grade: {_is_null: true}}) { id }
    }`,
    { a: [{ id: 1 }, { id: 3 }], b: [{ id: 1 }, { id: 3 }], c: [{ id: 2 }], d: [{ id: 3 }], e: [{ id: 2 }] },
    { fact: `${source}/select_where_enum_eq.yaml` },
  ),
  answers(
    'a variable of the type',
    'query ($g: genre_enum!) { reader(where: {genre: {_eq: $g}}) { id } }',
    { reader: [{ id: 2 }] },
    { variables: { g: 'prose' }, fact: `${source}/select_where_enum_eq_variable.yaml` },
  ),
  answers(
    'inserted, on conflict too',
    `mutation {
      insert_reader(
        objects: [{id: 9, first_name: "x", genre: drama, grade: null}, {id: 2, first_name: "bob", genre: drama}]
        on_conflict: {constraint: reader_pkey, update_columns: [genre], where: {genre: {_eq: prose}}}
      ) { returning { id genre grade } }
    }`,
    {
      insert_reader: {
        returning: [
          { id: 9, genre: 'drama', grade: null },
          { id: 2, genre: 'drama', grade: null },
        ],
      },
    },
  ),
  answers(
    'updated, from a variable',
    'mutation ($set: reader_set_input!) { update_reader(where: {genre: {_eq: verse}}, _set: $set) { affected_rows } update_reader_by_pk(pk_columns: {id: 2}, _set: {grade: gold}) { genre grade } }',
    { update_reader: { affected_rows: 2 }, update_reader_by_pk: { genre: 'prose', grade: 'gold' } },
    { variables: { set: { genre: 'drama' } } },
  ),
  answers(
    'counted and ordered by, and in no minimum',
    '{ reader_aggregate { aggregate { count(columns: [genre], distinct: true) } } reader(order_by: [{genre: desc}, {id: desc}]) { id } __type(name: "reader_max_fields") { fields { name } } }',
    {
      reader_aggregate: { aggregate: { count: 2 } },
      reader: [{ id: 3 }, { id: 1 }, { id: 2 }],
      __type: {
        fields: [
          'id',
          'first_name',
          'last_name',
          'points',
          'full_name',
          'points_with',
          'double_points',
          'greeting',
        ].map((name) => ({ name })),
      },
    },
    { onlyHere: 'the order in which introspection lists fields' },
  ),
  refuses(
    'a value that is none',
    '{ reader(where: {genre: {_eq: song}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.genre._eq',
    {
      message:
        "expected one of the values ['drama', 'prose', 'verse'] for type 'genre_enum', but found 'song'",
      fact: `${source}/select_where_enum_eq_bad_value.yaml`,
    },
  ),
  refuses(
    'a value that is none in a variable',
    'query ($g: genre_enum) { reader(where: {genre: {_eq: $g}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.genre._eq',
    {
      variables: { g: 'song' },
      message:
        "expected one of the values ['drama', 'prose', 'verse'] for type 'genre_enum', but found 'song'",
      fact: `${source}/select_where_enum_eq_variable_bad_value.yaml`,
    },
  ),
  refuses(
    'a text in the document',
    '{ reader(where: {genre: {_eq: "verse"}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.genre._eq',
    {
      message: "expected an enum value for type 'genre_enum', but found a string",
      fact: `${source}/select_where_enum_eq_string.yaml`,
    },
  ),
  refuses(
    'an order of its members',
    '{ reader(where: {genre: {_gt: prose}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.genre._gt',
  ),
  refuses(
    'a null to compare with',
    '{ reader(where: {grade: {_eq: null}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.grade._eq',
    { message: "unexpected null value for type 'shop_grade_enum'" },
  ),
  refuses(
    'a value that is none in an insert',
    'mutation { insert_reader_one(object: {id: 9, first_name: "x", genre: song}) { id } }',
    'validation-failed',
    '$.selectionSet.insert_reader_one.args.object.genre',
  ),
  refuses(
    'a variable of another type',
    'query ($g: String) { reader(where: {genre: {_eq: $g}}) { id } }',
    'validation-failed',
    '$.selectionSet.reader.args.where.genre._eq',
    { variables: { g: 'verse' } },
  ),
]
