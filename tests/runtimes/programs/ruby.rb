# Ruby: stack overflow by its SIGSEGV handler, GC.compact, which protects the heap's pages, threads, forks.
require "fiddle"
path = ENV["PROBE"]
if path
  function = Fiddle::Function.new(Fiddle.dlopen(path)["probe_touch"], [Fiddle::TYPE_VOIDP], Fiddle::TYPE_INT)
end
touch = -> { function&.call(nil) }

def deep(n) = deep(n + 1) + 1

overflows = 0
3.times do
  deep(0)
rescue SystemStackError
  overflows += 1
  touch.call
end
puts "overflows #{overflows}"
kept = (0...20000).map { |i| "object #{i}" * 3 }
5.times do |round|
  GC.compact
  kept.each_with_index { |text, i| raise "wrong" unless text.start_with?("object #{i}o") }
  kept.map!.with_index { |text, i| i % 7 == round ? "object #{i}o" * 3 : text }
  touch.call
end
puts "kept #{kept.size}"
counts = 4.times.map { |i| Thread.new { (0..10000).sum { |n| [n, i].sum } } }.map(&:value)
puts "threads #{counts.inspect}"
$stdout.flush
child = fork do
  GC.start
  touch.call
  exit! 7
end
puts "child #{Process.wait2(child)[1].exitstatus}"
touch.call
