module obi.xtask/layouts

go 1.22
