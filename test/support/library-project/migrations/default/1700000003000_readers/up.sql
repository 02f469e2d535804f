-- Enum tables: with a comment and without.
create table genre (value text primary key, comment text);
insert into genre (value, comment) values ('prose', 'Sentences.'), ('verse', 'Lines.'), ('drama', null);
create table shop.grade (name text primary key);
insert into shop.grade (name) values ('gold'), ('basic');

create table reader (
  id integer primary key,
  first_name text not null,
  last_name text,
  genre text not null default 'prose' references genre (value),
  grade text references shop.grade (name),
  points integer not null default 0
);

create function full_name(reader) returns text language sql stable as $$
  select $1.first_name || coalesce(' ' || $1.last_name, '')
$$;
comment on function full_name(reader) is 'Both names.';
create function points_with(reader_row reader, bonus integer, factor integer default 1) returns bigint language sql stable as $$
  select ((reader_row.points + bonus) * factor)::bigint
$$;
create function double_points(reader_row reader) returns numeric language sql stable as $$
  select (reader_row.points * 2)::numeric
$$;
create function greeting(session json, reader_row reader) returns text language sql stable as $$
  select 'Good day ' || reader_row.first_name || ', I am ' || (session ->> 'x-hasura-role')
$$;
create function card_of(reader_row reader) returns jsonb language sql stable as $$
  select jsonb_build_object('name', reader_row.first_name, 'tags', jsonb_build_array(reader_row.genre))
$$;
create function loans_of(reader_row reader) returns setof shop.loan language sql stable as $$
  select * from shop.loan where reader = reader_row.first_name
$$;
create function loans_like(search text, reader_row reader) returns setof shop.loan language sql stable as $$
  select * from shop.loan where reader = reader_row.first_name and isbn like search
$$;
