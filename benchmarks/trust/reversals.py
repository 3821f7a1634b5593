"""Questions reversed by a small word or by order, and honest rewordings of the same questions.

All written for this project, before the rules that tell them apart. `REVERSED` must be kept apart, `REFORMED` must
still match; the `HELD_OUT_` halves were not looked at while the rules were made. The halves are the even and the odd
rows of lists written in one go.
"""

from __future__ import annotations

from .traps import read_pairs

__all__ = ["HELD_OUT_REFORMED", "HELD_OUT_REVERSED", "REFORMED", "REVERSED"]

_ALL_REVERSED = read_pairs(
    r"""
list order | en | Execute these steps in order: build, test, deploy | Execute these steps in order: test, build,
  deploy
list order | en | Apply the migrations in the sequence users, orders, payments | Apply the migrations in the sequence
  payments, users, orders
list order | en | Rank these cities from largest to smallest: Rome, Paris, Berlin, is that correct? | Rank these
  cities from largest to smallest: Paris, Rome, Berlin, is that correct?
list order | en | First wash the rice, then boil the water. Is that right? | First boil the water, then wash the rice.
  Is that right?
list order | en | What comes next after red, green, blue? | What comes next after blue, green, red?
list order | en | What is the next number in the sequence 2, 3, 5? | What is the next number in the sequence 5, 3, 2?
list order | en | Is the order mercury, venus, earth right? | Is the order venus, mercury, earth right?
list order | en | Add the eggs, then the flour, then the milk | Add the flour, then the eggs, then the milk
list order | en | Concatenate the strings foo, bar and baz | Concatenate the strings baz, bar and foo
list order | en | Divide the list a, b, c | Divide the list c, b, a in this order
boolean | en | Select rows where the user is active and paid | Select rows where the user is active or paid
boolean | en | SELECT * FROM users WHERE age > 30 AND city = 'Rome' | SELECT * FROM users WHERE age > 30 OR city =
  'Rome'
boolean | en | Filter products that are red and cheap | Filter products that are red or cheap
boolean | en | if (a && b) return true | if (a || b) return true
boolean | en | Does the alarm ring when both doors and windows are open? | Does the alarm ring when doors or windows
  are open?
boolean | en | Show tickets tagged urgent AND open | Show tickets tagged urgent OR open
boolean | en | Show tickets tagged urgent AND open | Show tickets tagged urgent AND NOT open
boolean | en | What is true and false? | What is true or false?
join | en | Explain an inner join of orders and customers | Explain a left join of orders and customers
join | en | SELECT name FROM a INNER JOIN b ON a.id = b.id | SELECT name FROM a LEFT JOIN b ON a.id = b.id
join | en | When do I use a right join in SQL? | When do I use a left join in SQL?
join | en | SELECT name FROM a FULL JOIN b USING (id) | SELECT name FROM a CROSS JOIN b USING (id)
sql | en | SELECT name FROM users ORDER BY age ASC | SELECT name FROM users ORDER BY age DESC
sql | en | SELECT name FROM users ORDER BY age | SELECT name FROM users ORDER BY age DESC
sql | en | SELECT DISTINCT city FROM users | SELECT city FROM users
sql | en | SELECT name FROM a UNION SELECT name FROM b | SELECT name FROM a UNION ALL SELECT name FROM b
sql | en | SELECT name FROM a UNION SELECT name FROM b | SELECT name FROM a INTERSECT SELECT name FROM b
sql | en | SELECT MAX(price) FROM items | SELECT MIN(price) FROM items
sql | en | SELECT name FROM a WHERE id IN (SELECT id FROM b) | SELECT name FROM a WHERE id NOT IN (SELECT id FROM b)
sql | en | GROUP BY city HAVING count > 5 | GROUP BY city HAVING count >= 5
sql | en | DELETE FROM logs WHERE age > 30 | DELETE FROM logs WHERE age < 30
compare | en | Loop while i < n | Loop while i <= n
compare | en | Is x greater than y? | Is x greater than or equal to y?
compare | en | Find values at least 10 | Find values at most 10
compare | en | Find all prices above average | Find all prices below average
compare | en | Orders of 5 items or more | Orders of 5 items or fewer
compare | en | Employees with more than 5 years | Employees with at least 5 years
unless | en | Do I get a refund if the flight is cancelled? | Do I get a refund unless the flight is cancelled?
unless | en | Should I take the pill if I feel dizzy? | Should I take the pill unless I feel dizzy?
unless | en | Restart the server if it responds | Restart the server unless it responds
unless | en | Send the mail if the user has opted out | Send the mail unless the user has opted out
unless | en | Will the party take place when it rains? | Will the party take place unless it rains?
unless | en | Is the contract valid if signed? | Is the contract valid even if not signed?
including | en | What is the price including tax? | What is the price excluding tax?
including | en | List all countries including islands | List all countries except islands
including | en | Delete all files including hidden ones | Delete all files except hidden ones
including | en | How many days including weekends? | How many days excluding weekends?
including | en | Back up everything, photos included | Back up everything, photos excluded
including | en | Which shops are open every day, also Sunday? | Which shops are open every day except Sunday?
including | en | All users apart from admins | All users as well as admins
including | en | Delete all users but Bob | Delete all users and Bob
amount | en | Buy a dozen eggs | Buy half a dozen eggs
amount | en | How much does a dozen roses cost? | How much does half a dozen roses cost?
amount | en | A recipe with a cup of sugar | A recipe with half a cup of sugar
amount | en | How long is half a marathon? | How long is a marathon?
amount | en | How long is a half marathon? | How long is a full marathon?
amount | en | Is a pint of beer a day okay? | Is half a pint of beer a day okay?
amount | en | Twice the speed of sound in km/h | The speed of sound in km/h
amount | en | What is double the minimum wage? | What is triple the minimum wage?
amount | en | A couple of aspirin a day | A couple dozen aspirin a day
amount | en | Earn half the median income | Earn the median income
passive | en | Google bought YouTube | Google was bought by YouTube
passive | en | When did Disney acquire Pixar? | When was Disney acquired by Pixar?
passive | en | Did the dog bite the man? | Was the dog bitten by the man?
passive | en | Who defeated Napoleon? | Who was defeated by Napoleon?
passive | en | Why did Germany invade Poland? | Why was Germany invaded by Poland?
passive | en | Which company did Facebook buy? | Which company was Facebook bought by?
passive | en | Can a spider eat a bird? | Can a spider be eaten by a bird?
passive | en | The teacher praised the student | The teacher was praised by the student
passive | en | How did Rome conquer Greece? | How was Rome conquered by Greece?
passive | en | Does the parent call the child component? | Is the parent called by the child component?
passive | en | Which countries colonised Spain? | Which countries were colonised by Spain?
comparative | en | Is ice denser than water? | Is ice less dense than water?
comparative | en | Why is ice less dense than water? | Why is ice denser than water?
comparative | en | Is Python faster than Java? | Is Java faster than Python?
comparative | en | Is the Nile longer than the Amazon? | Is the Amazon longer than the Nile?
comparative | en | Why is copper more expensive than iron? | Why is iron more expensive than copper?
comparative | en | Why is copper more expensive than iron? | Why is copper less expensive than iron?
comparative | en | Which is heavier, gold or lead? | Which is less heavy, gold or lead?
comparative | en | Is a whale larger than a shark? | Is a whale smaller than a shark?
comparative | en | Why do men earn more than women? | Why do women earn more than men?
comparative | en | Is it cheaper to rent than to buy? | Is it cheaper to buy than to rent?
comparative | en | Are cats smarter than dogs? | Are cats less smart than dogs?
comparative | en | Is tea healthier than coffee? | Is tea not as healthy as coffee?
comparative | en | Is Mars as big as Earth? | Is Mars bigger than Earth?
comparative | en | What is the most common blood type? | What is the least common blood type?
comparative | en | Which car is the most reliable? | Which car is the least reliable?
zone | en | The call is at 10:00 CET, when is that in Delhi? | The call is at 10:00 CEST, when is that in Delhi?
zone | en | Convert 3 pm PST to London time | Convert 3 pm PDT to London time
zone | en | Does the sale start at noon EST? | Does the sale start at noon PST?
zone | en | Meeting at 9:00 UTC | Meeting at 9:00 UTC+2
zone | en | What time is it in GMT? | What time is it in BST?
zone | en | The webinar is at 8 pm EDT | The webinar is at 8 pm CDT
zone | en | Deadline is 23:59 AoE | Deadline is 23:59 UTC
zone | en | The server logs in UTC | The server logs in local time
zone | en | Flight departs at 14:00 IST | Flight departs at 14:00 JST
only | en | Only members can vote on the budget | Members can only vote on the budget
only | en | Does only John eat meat? | Does John eat only meat?
only | en | Can only admins delete posts? | Can admins only delete posts?
only | en | Only tourists need a visa for two weeks | Tourists need a visa only for two weeks
only | en | Is only the first chapter free for students? | Is the first chapter free only for students?
only | en | Just the owner can sign the form | The owner can just sign the form
only | en | Even the boss liked the plan | The boss even liked the plan
only | en | Almost all students failed the test | All students almost failed the test
only | en | Not all birds can fly | All birds can not fly
only | en | The shop only sells books to adults | The shop sells books to adults
german | de | Wer hat Napoleon besiegt? | Von wem wurde Napoleon besiegt, wen besiegte Napoleon?
german | de | Bekomme ich Geld zurück, wenn der Flug ausfällt? | Bekomme ich Geld zurück, außer wenn der Flug
  ausfällt?
german | de | Was kostet es inklusive Steuer? | Was kostet es exklusive Steuer?
german | de | Ein Dutzend Eier | Ein halbes Dutzend Eier
french | fr | Le prix taxes comprises | Le prix hors taxes
spanish | es | El precio con impuestos incluidos | El precio con impuestos excluidos
"""
)

_ALL_REFORMED = read_pairs(
    r"""
list order | en | Compare the cities Rome, Paris and Berlin | Compare the cities Berlin, Rome and Paris
list order | en | What can I cook with eggs, flour and milk? | What can I cook with milk, eggs and flour?
list order | en | Which of apples, pears and plums has most sugar? | Which of plums, apples and pears has most sugar?
list order | en | Execute these steps in order: build, test, deploy | Run these steps in order: build, test, deploy
list order | en | Jobs in Python, Java or Go | Jobs in Go, Python or Java
list order | en | First boil the water, then wash the rice | First boil the water and then wash the rice
list order | en | Sort the numbers 3, 1, 2 | Sort these numbers: 3, 1, 2
list order | en | What is the order of the planets? | In what order are the planets?
boolean | en | What is the difference between AND and OR in SQL? | What's the difference between OR and AND in SQL?
boolean | en | Is a tomato a fruit or a vegetable? | Is a tomato a vegetable or a fruit?
boolean | en | What are the pros and cons of solar power? | What are the cons and pros of solar power?
boolean | en | Do I need a visa and a passport for India? | Do I need a passport and a visa for India?
boolean | en | Tips and tricks for Excel | Tips or tricks for Excel
boolean | en | Select rows where the user is active and paid | Select the rows in which the user is active and paid
boolean | en | Which is better for travel, cash or card? | For travel, which is better: cash or card?
join | en | Explain an inner join of orders and customers | Explain the inner join of customers and orders
join | en | When do I use a left join in SQL? | When should I use a LEFT JOIN in SQL?
join | en | What is the difference between an inner join and a left join? | What is the difference between a left join
  and an inner join?
sql | en | What does ORDER BY age DESC do? | What is ORDER BY age DESC for?
sql | en | How do I select distinct cities in SQL? | How can I select distinct cities in SQL?
sql | en | What does UNION ALL do in SQL? | In SQL, what does UNION ALL do?
sql | en | SELECT name FROM users ORDER BY age DESC; | select name from users order by age desc
compare | en | Loop while i <= n | loop while i <= n, how?
compare | en | Find values of at least 10 | Find values that are at least 10
compare | en | Cities with more than a million people | Cities with over a million people
compare | en | Orders of 5 items or more | Orders of at least 5 items
unless | en | Do I get a refund if the flight is cancelled? | If the flight is cancelled, do I get a refund?
unless | en | What happens if I miss the exam? | What happens when I miss the exam?
unless | en | Can I travel unless I am sick? | Unless I am sick, can I travel?
unless | en | Do I get a refund if my flight gets cancelled? | Can I get a refund in case my flight gets cancelled?
unless | en | How do I know if my phone is unlocked? | How do I know whether my phone is unlocked?
including | en | What is the price including tax? | What is the price with tax included?
including | en | List all countries except islands | List all the countries except for islands
including | en | What is the total cost including shipping? | What's the total cost, shipping included?
including | en | Which fees are included in the rent? | What fees does the rent include?
including | en | All users except admins | All users apart from admins
amount | en | How much are a dozen eggs? | What do a dozen eggs cost?
amount | en | How much are half a dozen eggs? | How much are six eggs?
amount | en | How long is half an hour in seconds? | How many seconds are in half an hour?
amount | en | How long is a half marathon? | What is the length of a half marathon?
amount | en | What does a cup of sugar weigh? | How much does one cup of sugar weigh?
amount | en | How do I cut a cake in half? | How can I cut a cake in half?
passive | en | Google bought YouTube | YouTube was bought by Google
passive | en | When did Disney acquire Pixar? | When was Pixar acquired by Disney?
passive | en | Did the dog bite the man? | Was the man bitten by the dog?
passive | en | Who wrote Hamlet? | By whom was Hamlet written?
passive | en | Who wrote Hamlet? | Who was Hamlet written by?
passive | en | Who invented the telephone? | Who was the telephone invented by?
passive | en | How is cheese made? | How do you make cheese?
passive | en | When was the Eiffel Tower built? | When did they build the Eiffel Tower?
passive | en | Why did Germany invade Poland? | Why was Poland invaded by Germany?
passive | en | Which company bought WhatsApp? | Which company was WhatsApp bought by?
passive | en | Can a spider eat a bird? | Can a bird be eaten by a spider?
passive | en | How was the pyramid built by the Egyptians? | How did the Egyptians build the pyramid?
passive | en | What is caused by stress? | What does stress cause?
passive | en | Who is affected by the new law? | Whom does the new law affect?
comparative | en | Is ice less dense than water? | Is water denser than ice?
comparative | en | Is Python faster than Java? | Is Java slower than Python?
comparative | en | Why is ice less dense than water? | Why does ice have a lower density than water?
comparative | en | Is the Nile longer than the Amazon? | Which is longer, the Nile or the Amazon?
comparative | en | Which is heavier, gold or lead? | Which is heavier, lead or gold?
comparative | en | What is the most common blood type? | Which blood type is the most common?
comparative | en | Are cats smarter than dogs? | Are cats more intelligent than dogs?
comparative | en | Is it cheaper to rent than to buy? | Is renting cheaper than buying?
comparative | en | Is gold more expensive than silver? | Is gold pricier than silver?
comparative | en | Which is more difficult, French or German? | Which is harder, French or German?
comparative | en | How can I be more productive? | How can I become more productive?
zone | en | What time is it in CET? | What is the time in CET right now?
zone | en | Convert 3 pm PST to London time | Convert 3 pm Pacific Standard Time to London time
zone | en | Convert 10:00 UTC to Tokyo time | What is 10:00 UTC in Tokyo time?
zone | en | What does UTC stand for? | What is the meaning of UTC?
zone | en | Does the sale start at noon EST? | Is noon EST when the sale starts?
only | en | Only members can vote on the budget | Can only members vote on the budget?
only | en | Can only admins delete posts? | Are only admins able to delete posts?
only | en | Is coffee only for adults? | Is coffee for adults only?
only | en | Does John eat only meat? | Does John only eat meat?
only | en | How can I only print one page? | How can I print only one page?
only | en | I only have a passport, can I fly? | Can I fly if I only have a passport?
german | de | Was kostet es inklusive Steuer? | Was kostet das inklusive Steuer?
german | de | Bekomme ich Geld zurück, wenn der Flug ausfällt? | Wenn der Flug ausfällt, bekomme ich Geld zurück?
"""
)

REVERSED, HELD_OUT_REVERSED = _ALL_REVERSED[::2], _ALL_REVERSED[1::2]
REFORMED, HELD_OUT_REFORMED = _ALL_REFORMED[::2], _ALL_REFORMED[1::2]
