#!/usr/bin/perl
# An agent that costs next to nothing to start, for loads that end sessions by the second: what examples/hello-agent says
# and hears (docs/agents.md), and no more.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

$| = 1;
$SIG{PIPE} = 'IGNORE';
my $server = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no port: $!";
print '{"type":"listening","port":', $server->sockport, "}\n";

my ($session, $has_connected, $heard) = ('', 0, '');
my $ready = IO::Select->new($server, \*STDIN);
while (1) {
  for my $handle ($ready->can_read) {
    if ($handle == $server) { answer($server->accept) }
    elsif (sysread(STDIN, $heard, 65536, length $heard)) {
      while ($heard =~ s/^(.*)\n//) { hear($1) }
    }
    else { $ready->remove(\*STDIN) }
  }
}

sub hear {
  my ($line) = @_;
  return unless $line =~ /"type":"session"/ && $line =~ /"session_id":"([^"]*)"/;
  $session ||= $1;
  print qq({"type":"session-taken","session_id":"$1"}\n);
}

sub answer {
  my ($client) = @_;
  return unless $client;
  my $request = '';
  while ($request !~ /\r\n\r\n/) { sysread($client, $request, 65536, length $request) or return }
  my ($method) = $request =~ /^(\w+)/;
  my $body = qq({"session_id":"$session"}\n);
  my $length = length $body;
  if (!$session) { print $client "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"; return }
  if ($method eq 'GET' && !$has_connected++) { print qq({"type":"connected"}\n) }
  print $client "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: $length\r\nconnection: close\r\n\r\n$body";
  close $client;
  return if $method ne 'POST';
  print qq({"type":"ended"}\n);
  exit 0;
}
