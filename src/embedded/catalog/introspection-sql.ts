/** `$1`: a JSON list of `{schema, name}`. Each statement gives one text: a JSON list of what of it was found. */

/**
 * A type as `PgType`; `oid` is the column that holds it. Domains are replaced by what they are made of. The modifier -1
 * asks for the bare type: a `character` without one would cut its values down to one.
 */
const typeOf = (oid: string): string =>
  `(
  select json_build_object('name', t.typname, 'sql', format_type(t.oid, -1), 'kind', muster_kind(t), 'element',
    case when t.typcategory = 'A' and t.typelem <> 0 then (
      select json_build_object('name', e.typname, 'sql', format_type(e.oid, -1), 'kind', muster_kind(e))
      from pg_type e where e.oid = t.typelem) end)
  from pg_type d join pg_type t on t.oid = case when d.typtype = 'd' then d.typbasetype else d.oid end
  where d.oid = ${oid})`.replaceAll(
    /muster_kind\((\w)\)/g,
    "case $1.typtype when 'b' then 'base' when 'e' then 'enum' when 'c' then 'composite' when 'r' then 'range' else 'other' end",
  )

/** The table or view that a row type is of; null for other types. */
const relationOf = (oid: string): string =>
  `(
  select json_build_object('schema', rn.nspname, 'name', r.relname)
  from pg_type rt join pg_class r on r.oid = rt.typrelid join pg_namespace rn on rn.oid = r.relnamespace
  where rt.oid = ${oid})`

const wanted = `select w.schema, w.name from json_to_recordset(($1::text)::json) as w (schema text, name text)`

const columnNames = (relation: string, numbers: string): string => `(
  select json_agg(a.attname order by k.place) from unnest(${numbers}) with ordinality as k (attnum, place)
  join pg_attribute a on a.attrelid = ${relation} and a.attnum = k.attnum)`

/** Under a view, every table that it reads, also through other views. */
const sources = `(
  with recursive under (oid) as (
    select c.oid
    union
    select d.refobjid from under u
      join pg_rewrite r on r.ev_class = u.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid <> u.oid)
  select coalesce(json_agg(distinct sn.nspname || '.' || s.relname), '[]')
  from under join pg_class s on s.oid = under.oid and s.relkind in ('r', 'p', 'm', 'f')
    join pg_namespace sn on sn.oid = s.relnamespace)`

export const tablesQuery = `
with wanted as (${wanted})
select coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', c.relname, 'isView', c.relkind in ('v', 'm'),
  'columns', (
    select coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', ${typeOf('a.atttypid')},
      'isNullable', not a.attnotnull, 'hasDefault', a.atthasdef or a.attidentity <> '',
      'isGenerated', a.attgenerated <> '' or a.attidentity = 'a',
      'comment', col_description(c.oid, a.attnum)) order by a.attnum), '[]')
    from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  'primaryKey', coalesce((
    select ${columnNames('c.oid', 'p.conkey')} from pg_constraint p where p.conrelid = c.oid and p.contype = 'p'), '[]'),
  'uniqueConstraints', (
    select coalesce(json_agg(u.conname order by u.contype, u.conname), '[]')
    from pg_constraint u where u.conrelid = c.oid and u.contype in ('p', 'u')),
  'foreignKeys', (
    select coalesce(json_agg(json_build_object(
      'columns', ${columnNames('c.oid', 'f.conkey')},
      'foreignSchema', fn.nspname, 'foreignTable', fc.relname,
      'foreignColumns', ${columnNames('f.confrelid', 'f.confkey')}) order by f.conname), '[]')
    from pg_constraint f join pg_class fc on fc.oid = f.confrelid join pg_namespace fn on fn.oid = fc.relnamespace
    where f.conrelid = c.oid and f.contype = 'f'),
  'updatable', pg_relation_is_updatable(c.oid, true),
  'sources', ${sources},
  'comment', obj_description(c.oid, 'pg_class')) order by n.nspname, c.relname), '[]')::text
from wanted w
  join pg_namespace n on n.nspname = w.schema
  join pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p', 'v', 'm', 'f')`

export const functionsQuery = `
with wanted as (${wanted})
select coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', p.proname,
  'arguments', (
    select coalesce(json_agg(json_build_object(
      'name', coalesce(p.proargnames[i.place], ''), 'type', ${typeOf('i.type')},
      'hasDefault', i.place > p.pronargs - p.pronargdefaults, 'relation', ${relationOf('i.type')}) order by i.place), '[]')
    from unnest(p.proargtypes::oid[]) with ordinality as i (type, place)),
  'returnsSet', p.proretset,
  'returns', ${relationOf('p.prorettype')},
  'returnType', ${typeOf('p.prorettype')},
  'isVolatile', p.provolatile = 'v',
  'comment', obj_description(p.oid, 'pg_proc')) order by n.nspname, p.proname), '[]')::text
from wanted w
  join pg_namespace n on n.nspname = w.schema
  join pg_proc p on p.pronamespace = n.oid and p.proname = w.name and p.prokind = 'f'`
