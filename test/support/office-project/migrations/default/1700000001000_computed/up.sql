create function wages(who employee) returns integer language sql stable as $$
  select who.salary * 12
$$;
create function notes_by(employee) returns setof note language sql stable as $$
  select * from note where author_id = $1.id
$$;
