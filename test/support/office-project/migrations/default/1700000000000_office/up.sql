create table employee (
  id integer primary key,
  name text not null,
  team text not null,
  salary integer not null default 0,
  manager_id integer references employee (id)
);
create table note (
  id integer primary key,
  author_id integer not null references employee (id),
  title text not null unique,
  body text not null default '',
  is_public boolean not null default false,
  edited_by integer,
  origin text not null default 'unknown'
);
-- Nobody but the administrator sees it.
create table audit (
  id integer primary key,
  message text not null
);

create function notes_about(word text) returns setof note language sql stable as $$
  select * from note where title like '%' || word || '%'
$$;
create function publish(note_id integer) returns setof note language sql as $$
  update note set is_public = true where id = note_id returning *
$$;
create function purge() returns setof note language sql as $$
  delete from note returning *
$$;

insert into employee (id, name, team, salary, manager_id) values
  (1, 'ann', 'red', 30, null), (2, 'bob', 'red', 20, 1), (3, 'cat', 'blue', 10, 1);
insert into note (id, author_id, title, is_public) values
  (1, 1, 'a1', false), (2, 1, 'a2', true), (3, 2, 'b3', false), (4, 2, 'b4', true), (5, 3, 'c5', true), (6, 3, 'c6', false);
insert into audit (id, message) values (1, 'open sesame');
