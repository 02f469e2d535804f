-- A tree of shelves, copies of books on them, a catalogue card for each copy: what nested inserts go through.
create table shelf (
  id serial primary key,
  code text not null unique,
  parent_id integer references shelf (id) on delete cascade,
  capacity integer not null default 10 check (capacity >= 0)
);
create table item (
  shelf_id integer not null references shelf (id) on delete cascade,
  place integer not null,
  label text not null,
  weight real,
  state jsonb not null default '{}',
  primary key (shelf_id, place)
);
create table card (
  id serial primary key,
  shelf_id integer not null unique references shelf (id) on delete cascade,
  words text not null
);
-- No statement of a client may ever reach this one.
create table canary (alive boolean not null);
insert into canary values (true);

create type colour as enum ('red', 'green', 'blue');
create table curio (
  id uuid primary key default gen_random_uuid(),
  colour colour,
  colours colour[],
  cost money,
  lasts interval,
  at_hour time,
  stamp timestamp,
  net cidr,
  mac macaddr,
  code char(3),
  short varchar(5),
  ratio real,
  numbers integer[],
  flags boolean[],
  grid numeric(8, 2),
  span int4range,
  bits bytea,
  tags jsonb
);

create view full_shelf as select s.id, s.code, count(i.*) as items from shelf s join item i on i.shelf_id = s.id group by s.id;
create view open_shelf as select id, code, capacity from shelf where capacity > 0;

create function shelves_under(root text) returns setof shelf language sql stable as $$
  with recursive under as (
    select * from shelf where code = root union all select s.* from shelf s join under u on s.parent_id = u.id
  ) select * from under
$$;
create function who_asks(session json, prefix text default '') returns setof shelf language sql stable as $$
  select -1, prefix || (session ->> 'x-hasura-role') || coalesce(session ->> 'x-hasura-user-id', ''), null::integer, 0
$$;
create function fill_shelf(shelf_code text, labels text[]) returns setof item language sql volatile as $$
  insert into item (shelf_id, place, label)
    select s.id, l.place, l.label from shelf s, unnest(labels) with ordinality as l (label, place) where s.code = shelf_code
  returning *
$$;
