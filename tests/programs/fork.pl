$| = 1;
my @kids;
for my $i (1 .. 4) { my $p = fork // die; if (!$p) { exit $i } push @kids, $p }
print join(",", map { waitpid $_, 0; $? >> 8 } @kids), "\n";
my $n = 0;
$SIG{USR1} = sub { $n++ }; kill USR1 => $$ for 1 .. 50; print "$n\n";
$SIG{ALRM} = sub { die "late\n" }; alarm 1; eval { sleep 20 }; alarm 0; print $@;
my $reaped; $SIG{CHLD} = sub { wait; print "reaped ", $? & 127, "\n"; $reaped = 1 };
if (!(my $p = fork)) { $SIG{TERM} = "DEFAULT"; sleep 20; exit } else { select undef, undef, undef, 0.1; kill TERM => $p; select undef, undef, undef, 0.1 until $reaped }
$SIG{CHLD} = "DEFAULT"; $SIG{PIPE} = sub { print "pipe\n" };
pipe my $r, my $w; close $r; syswrite $w, "x"; print $!{EPIPE} ? "broken\n" : "whole\n";
print `echo back; exit 3`, $? >> 8, "\n"; print system("kill -9 \$\$"), "\n";
local $SIG{__WARN__} = sub { print "warned: $_[0]" }; warn "x\n";
$SIG{INT} = "IGNORE"; kill INT => $$; print "still here\n"; kill KILL => $$;
