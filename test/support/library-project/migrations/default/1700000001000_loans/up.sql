create schema shop;
create table shop.loan (
  isbn text not null,
  copy integer not null,
  reader text,
  times integer not null default 1,
  primary key (isbn, copy)
);
-- Lends every copy that is asked for: [{"isbn": …, "copy": …}].
create function shop.lend(copies jsonb, to_reader text) returns setof shop.loan language plpgsql as $$
begin
  return query insert into shop.loan as l (isbn, copy, reader)
    select c.isbn, c.copy, to_reader from jsonb_to_recordset(copies) as c (isbn text, copy integer)
    on conflict on constraint loan_pkey do update set reader = excluded.reader, times = l.times + 1
    returning l.*;
end $$;
