package main

import (
	"context"
	"database/sql"
	"net"
	"os"

	"github.com/jackc/pgx/v5"
	_ "github.com/lib/pq"
)

func url(at, more string) string {
	return "postgres://shop:hunter2pw@" + at + "/shop" + more
}

const script = `drop table if exists orders;
create table orders (id int primary key, name text);
insert into orders values (1, 'hunter2 one'), (2, 'hunter2 two');
select id, name from orders where name like 'hunter2%' -- hunter2
;
select 1 \; select 2 \; update orders set name = 'hunter2' where id = 1;
copy orders from stdin;
3	hunter2 copied
4	hunter2 copied
\.
copy orders to stdout;
insert into orders values (1, 'hunter2 again');
select nothing from nowhere;
begin;
delete from orders where id > 2;
commit;
`

func databases(folder, postgres string) {
	// libpq: the simple protocol, after an offer of encryption that this server declines.
	record(folder, "postgres-psql.txt", postgres, true, func(at string) {
		host, port, err := net.SplitHostPort(at)
		check(err)
		check(os.Setenv("PGPASSWORD", "hunter2pw"))
		run(script, "psql", "-q", "-X", "-h", host, "-p", port, "-U", "shop", "shop")
	})
	record(folder, "postgres-lib-pq.txt", postgres, true, func(at string) {
		db, err := sql.Open("postgres", url(at, "?sslmode=disable"))
		check(err)
		db.SetMaxOpenConns(1)
		db.Exec("insert into orders values ($1, $2)", 10, "hunter2 parameter")
		db.Exec("insert into orders values ($1, $2)", 10, "hunter2 twice")
		statement, err := db.Prepare("select name from orders where id = $1")
		check(err)
		for id := range 2 {
			var name string
			statement.QueryRow(id).Scan(&name)
		}
		statement.Close()
		db.Exec("update orders set name = 'hunter2 literal'")
		_, err = db.Prepare("select wrong from nowhere")
		db.Close()
	})
	record(folder, "postgres-pgx.txt", postgres, true, func(at string) {
		ctx := context.Background()
		db, err := pgx.Connect(ctx, url(at, "?sslmode=disable"))
		check(err)
		for id := range 2 {
			var name string
			db.QueryRow(ctx, "select name from orders where id = $1", id+1).Scan(&name)
		}
		batch := &pgx.Batch{}
		batch.Queue("insert into orders values ($1, $2)", 20, "hunter2 batch")
		batch.Queue("insert into orders values ($1, $2)", 21, "hunter2 batch")
		batch.Queue("delete from orders where id = $1", 20)
		db.SendBatch(ctx, batch).Close()
		failing := &pgx.Batch{}
		failing.Queue("insert into orders values ($1, $2)", 30, "hunter2 lost")
		failing.Queue("insert into orders values ($1, $2)", 21, "hunter2 twice")
		failing.Queue("insert into orders values ($1, $2)", 31, "hunter2 never")
		db.SendBatch(ctx, failing).Close()
		db.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "name"}, pgx.CopyFromRows([][]any{{40, "hunter2 copied"}}))
		db.Exec(ctx, "select pg_sleep(0), 'hunter2'", pgx.QueryExecModeExec)
		db.Query(ctx, "select wrong from nowhere")
		db.Close(ctx)
	})
}
