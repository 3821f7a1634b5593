"""Pairs of prompts that look alike and ask different things (traps), and pairs that ask the same (paraphrases).

All written for this project. `TRAPS` and `PARAPHRASES` were looked at while the rules were made;
`HELD_OUT_TRAPS` and `HELD_OUT_PARAPHRASES` were written after the rules had been frozen. At first sight the rules
refused 90.3 % of those traps (all of them together with a cosine of 0.90) and kept 95.2 % of those paraphrases;
what they showed was then mended, so that they are held out no longer.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["HELD_OUT_PARAPHRASES", "HELD_OUT_TRAPS", "PARAPHRASES", "TRAPS", "PromptPair", "read_pairs"]


class PromptPair(NamedTuple):
    """Two prompts.

    Attributes:
        kind: what they differ in (traps) or speak of (paraphrases).
        language: two letters.
        a, b: the prompts.
    """

    kind: str
    language: str
    a: str
    b: str


def read_pairs(text: str) -> tuple[PromptPair, ...]:
    """Read "kind | language | a | b" lines; an indented line goes on with the one before."""
    rows = []
    for line in re.sub(r"\n +", " ", text.strip()).splitlines():
        kind, language, a, b = (part.strip() for part in line.split(" | "))
        rows.append(PromptPair(kind, language, a, b))
    return tuple(rows)


TRAPS = read_pairs(
    r"""
numbers | en | How many calories are in 2 boiled eggs? | How many calories are in 3 boiled eggs?
numbers | en | Write a seven-line poem about rain | Write a nine-line poem about rain
numbers | en | What is 15% of 80? | What is 18% of 80?
numbers | en | Who was the third president of Brazil? | Who was the fourth president of Brazil?
numbers | en | Convert 1,500 grams to ounces | Convert 15,000 grams to ounces
units | en | Can I keep cooked rice for 2 hours outside? | Can I keep cooked rice for 2 days outside?
units | en | Is a 30 minute nap good for you? | Is a 30 second nap good for you?
units | en | How many miles is the coast trail? | How many kilometers is the coast trail?
units | en | Can I live on $500 a month? | Can I live on €500 a month?
dates | en | What happened on 4 May 1970? | What happened on 4 June 1970?
dates | en | Is the museum open on Monday? | Is the museum open on Tuesday?
dates | en | Who won the cup in 1998? | Who won the cup in 2002?
time words | en | What is on television tonight? | What is on television tomorrow?
time words | en | Sales figures for last week | Sales figures for next week
time words | en | Should I run in the morning? | Should I run in the evening?
time words | en | Set an alarm for 7:30 | Set an alarm for 7:45
time words | en | Wake me at 6 am | Wake me at 6 pm
identifiers | en | Where is order ORD-4471? | Where is order ORD-4417?
identifiers | en | What does get_user_id return? | What does get_user_name return?
identifiers | en | Explain the class HttpClient | Explain the class HttpServer
identifiers | en | What does error 0x80070005 mean? | What does error 0x80070057 mean?
versions | en | What changed in Python 3.10? | What changed in Python 3.11?
versions | en | Is release v2.4.1 stable? | Is release v2.4.7 stable?
versions | en | How to install Django 3.1 | How to install Django 3.10
urls | en | Summarise https://example.com/report-a | Summarise https://example.com/report-b
urls | en | Send the invoice to anna@example.org | Send the invoice to hanna@example.org
urls | en | What is in /etc/hosts? | What is in /etc/passwd?
flags | en | What does git push --force do? | What does git push --follow-tags do?
flags | en | What does grep -i do? | What does grep -v do?
quotes | en | Translate "I am hungry" into French | Translate "I am thirsty" into French
quotes | en | What does the idiom "break a leg" mean? | What does the idiom "pull a leg" mean?
code | en | What does `x.pop(0)` do in Python? | What does `x.pop(1)` do in Python?
code | en | What does range(5) print? | What does range(6) print?
code | en | Explain `SELECT a FROM t` | Explain `SELECT b FROM t`
operators | en | What is 12 - 7? | What is 12 + 7?
operators | en | What does a == b mean in Java? | What does a != b mean in Java?
operators | en | Simplify x-y | Simplify y-x
negation | en | Which fruits are good for dogs? | Which fruits are not good for dogs?
negation | en | Foods to eat when pregnant | Foods to never eat when pregnant
negation | en | Can I travel to Peru with a visa? | Can I travel to Peru without a visa?
negation | en | Why does my plant grow? | Why doesn't my plant grow?
prefixes | en | Is it legal to record a phone call? | Is it illegal to record a phone call?
prefixes | en | How do I install the printer driver? | How do I uninstall the printer driver?
prefixes | en | Reversible chemical reactions examples | Irreversible chemical reactions examples
antonyms | en | Sort the list in ascending order | Sort the list in descending order
antonyms | en | How can I increase my blood pressure? | How can I decrease my blood pressure?
antonyms | en | Should I buy shares now? | Should I sell shares now?
antonyms | en | How do I enable notifications? | How do I disable notifications?
antonyms | en | How to encrypt a file | How to decrypt a file
antonyms | en | Cheapest hotels near the beach | Most expensive hotels near the beach
antonyms | en | What is the minimum age for a pilot? | What is the maximum age for a pilot?
antonyms | en | How do I log in? | How do I log out?
antonyms | en | Turn on the kitchen light | Turn off the kitchen light
comparatives | en | Should I sleep more? | Should I sleep less?
comparatives | en | Stretching before a run | Stretching after a run
comparatives | en | Cities with more than a million people | Cities with fewer than a million people
direction | en | Convert dollars to yen | Convert yen to dollars
direction | en | Train from Boston to Chicago | Train from Chicago to Boston
direction | en | Bus to the airport | Bus from the airport
direction | en | Translate from German to English | Translate from English to German
swapped | en | Does rock beat scissors? | Does scissors beat rock?
swapped | en | Why did Rome attack Carthage? | Why did Carthage attack Rome?
swapped | en | Can a cat carry a dog disease? | Can a dog carry a cat disease?
swapped | en | Is Python faster than Perl? | Is Perl faster than Python?
swapped | en | Does the teacher owe the student an apology? | Does the student owe the teacher an apology?
languages | en | How do I read a file in Rust? | How do I read a file in Go?
languages | en | How do you say thank you in Korean? | How do you say thank you in Turkish?
places | en | What is the population of Norway? | What is the population of Sweden?
places | en | Best restaurants in Lisbon | Best restaurants in Madrid
people | en | How tall is Michael Jordan? | How tall is Stephen Curry?
people | en | Which books did Jane Austen write? | Which books did Emily Brontë write?
products | en | How do I delete my Facebook account? | How do I delete my Twitter account?
formats | en | Give me the planets as JSON | Give me the planets as a table
formats | en | Explain inflation in one sentence | Explain inflation in detail
formats | en | Explain gravity in simple terms | Explain gravity in depth
formats | en | Summarise the plot briefly | Summarise the plot in bullet points
answer language | en | Explain recursion in French | Explain recursion in Spanish
answer language | en | Write a greeting in Italian | Write a greeting
accents | es | ¿Qué significa año? | ¿Qué significa ano?
accents | fr | Que veut dire pêcher ? | Que veut dire pécher ?
accents | de | Was heißt schön? | Was heißt schon?
emoji | en | What does 😂 mean? | What does 😭 mean?
emoji | en | Which plant is 🌵? | Which plant is 🌴?
case | en | What does IT do? | What does it do?
case | en | Tell us about taxes | Tell US about taxes
case | en | Where can I learn polish? | Where can I learn Polish?
question words | en | When was the bridge built? | Why was the bridge built?
question words | en | Who invented the telescope? | When was invented the telescope?
question words | en | How many rivers cross the border? | Where do rivers cross the border?
numbers | de | Wie viele Kalorien haben 2 Eier? | Wie viele Kalorien haben 3 Eier?
antonyms | de | Wie verkaufe ich Aktien? | Wie kaufe ich Aktien?
negation | de | Welche Pilze sind giftig? | Welche Pilze sind nicht giftig?
time words | de | Wie wird das Wetter heute? | Wie wird das Wetter morgen?
direction | de | Zug von Berlin nach Hamburg | Zug von Hamburg nach Berlin
places | de | Was ist die Hauptstadt von Frankreich? | Was ist die Hauptstadt von Spanien?
antonyms | fr | Comment activer le mode sombre ? | Comment désactiver le mode sombre ?
negation | fr | Puis-je voyager avec un passeport ? | Puis-je voyager sans passeport ?
time words | fr | Quel temps fait-il aujourd'hui ? | Quel temps fera-t-il demain ?
numbers | fr | Une recette pour quatre personnes | Une recette pour six personnes
antonyms | es | ¿Cómo puedo subir de peso? | ¿Cómo puedo bajar de peso?
negation | es | Alimentos con gluten | Alimentos sin gluten
direction | es | Vuelos de Madrid a Lima | Vuelos de Lima a Madrid
time words | es | ¿Qué hay que hacer en Sevilla hoy? | ¿Qué hay que hacer en Sevilla mañana?
antonyms | pt | Como ativar o modo escuro? | Como desativar o modo escuro?
numbers | pt | Receita de bolo para cinco pessoas | Receita de bolo para oito pessoas
negation | pt | Posso viajar com visto? | Posso viajar sem visto?
antonyms | it | Come aprire un conto in banca? | Come chiudere un conto in banca?
time words | it | Che tempo fa oggi a Roma? | Che tempo fa domani a Roma?
places | it | Qual è la capitale della Germania? | Qual è la capitale della Francia?
antonyms | nl | Hoe kan ik aandelen kopen? | Hoe kan ik aandelen verkopen?
negation | nl | Mag ik met rijbewijs rijden? | Mag ik zonder rijbewijs rijden?
numbers | nl | Hoeveel calorieën zitten in twee eieren? | Hoeveel calorieën zitten in vier eieren?
antonyms | pl | Jak włączyć powiadomienia? | Jak wyłączyć powiadomienia?
time words | pl | Jaka pogoda będzie jutro? | Jaka pogoda była wczoraj?
direction | pl | Pociąg z Warszawy do Krakowa | Pociąg z Krakowa do Warszawy
antonyms | ru | Как включить уведомления? | Как выключить уведомления?
negation | ru | Какие грибы можно есть? | Какие грибы нельзя есть?
time words | ru | Какая погода сегодня? | Какая погода завтра?
places | ru | Какая столица Франции? | Какая столица Испании?
antonyms | zh | 如何买股票？ | 如何卖股票？
time words | zh | 今天天气怎么样？ | 明天天气怎么样？
direction | zh | 从北京到上海的火车 | 从上海到北京的火车
numbers | zh | 五个苹果多少钱？ | 六个苹果多少钱？
antonyms | ja | 株を買う方法を教えて | 株を売る方法を教えて
time words | ja | 今日の天気は？ | 明日の天気は？
direction | ja | 東京から大阪まで何時間ですか | 大阪から東京まで何時間ですか
negation | ja | 卵を食べる人 | 卵を食べない人
numbers | ja | りんごを3個買う | りんごを4個買う
"""
)

PARAPHRASES = read_pairs(
    r"""
numbers | en | How many calories are in two boiled eggs? | How many calories do 2 boiled eggs have?
numbers | en | What is fifteen percent of 80? | What is 15% of 80?
numbers | en | Convert 1,500 grams to ounces | Convert 1500 grams into ounces
numbers | en | What can I buy with 10k dollars? | What can I buy with $10,000?
units | en | Can rice stay out for 2 hours? | Can rice stay out for 120 minutes?
units | en | Is a half marathon 21 km? | Is a half marathon 21 kilometers?
dates | en | What happened on May 4, 1970? | What happened on 4 May 1970?
dates | en | What happened on July 20th, 1969? | What happened on July 20, 1969?
dates | en | Is the museum open on Mondays? | Is the museum open on Monday?
time words | en | What's the weather like today? | What is the weather like today?
time words | en | Wake me at 6 pm | Wake me up at 6pm
time words | en | When does the 15:00 train arrive? | When does the 3 pm train arrive?
identifiers | en | Where is my order ORD-4471? | Where's order ORD-4471?
identifiers | en | What does get_user_id return? | What is returned by get_user_id?
versions | en | What changed in Python 3.10? | What's new in Python 3.10?
versions | en | Is release v2.0 stable? | Is release 2.0 stable?
urls | en | Summarise https://example.com/report | Please summarise https://example.com/report
flags | en | What does git push --force do? | What is the effect of git push --force?
quotes | en | What does the idiom "break a leg" mean? | What is the meaning of the idiom "break a leg"?
quotes | en | What is the meaning of 'serendipity'? | What is the meaning of "serendipity"?
code | en | What does `range(5)` print? | What does range(5) print?
operators | en | What is 12 + 7? | What's 12+7?
negation | en | Which fruits are not good for dogs? | Which fruits aren't good for dogs?
negation | en | Why won't my car start? | Why does my car not start?
negation | en | Why won't my laptop turn on? | Why does my laptop fail to turn on?
negation | en | What is not legal to carry on a plane? | What is illegal to carry on a plane?
negation | en | Isn't coffee bad for the heart? | Is coffee bad for the heart?
negation | en | I can't log in to my account | I cannot log in to my account
antonyms | en | Pros and cons of nuclear power? | What are the advantages and disadvantages of nuclear power?
antonyms | en | How can I increase my savings? | How do I increase my savings?
antonyms | en | How do I turn off notifications? | How do I turn notifications off?
antonyms | en | What's the minimum age for a pilot? | What is the minimum age to be a pilot?
antonyms | en | How do I log out of the app? | How can I log out from the app?
comparatives | en | Is tea healthier than coffee? | Is tea more healthy than coffee?
direction | en | Convert dollars to yen | Convert dollars into yen
direction | en | Train from Boston to Chicago | What trains go from Boston to Chicago?
direction | en | How far is Paris from London? | How far is it from London to Paris?
swapped | en | What is the difference between tea and coffee? | What's the difference between coffee and tea?
swapped | en | How do I, in Python, sort a list? | How do I sort a list in Python?
swapped | en | In 1998, who won the world cup? | Who won the world cup in 1998?
swapped | en | Compare apples and oranges | Compare oranges and apples
swapped | en | Which is better, iOS or Android? | Which is better, Android or iOS?
swapped | en | Who painted the Mona Lisa? | The Mona Lisa was painted by whom?
swapped | en | When I travel, how do I save money? | How do I save money when I travel?
swapped | en | What is the distance from the Earth to the Moon? | What is the distance between the Moon and the Earth?
languages | en | How do I reverse a string in JavaScript? | How can I reverse a string in JS?
languages | en | How do you say thank you in Korean? | How to say thank you in Korean?
places | en | What is the population of the USA? | What is the population of the United States?
places | en | Best restaurants in New York City | Best restaurants in NYC
places | en | What is the capital of the UK? | What is the capital of the United Kingdom?
people | en | How old is Barack Obama? | What is the age of Barack Obama?
people | en | What did Einstein discover? | What did Albert Einstein discover?
products | en | How do I delete my Facebook account? | How can I delete my account on Facebook?
formats | en | Explain inflation in simple terms | Explain inflation in layman's terms
formats | en | Explain inflation briefly | Give a brief explanation of inflation
formats | en | List the planets as JSON | List the planets in JSON format
formats | en | Describe photosynthesis in detail | Give a detailed description of photosynthesis
answer language | en | Explain recursion in French | In French, explain recursion
accents | en | Best cafés in Vienna | Best cafes in Vienna
accents | en | How do I write a résumé? | How do I write a resumé?
accents | es | ¿Cómo se hace una tortilla española? | Como se hace una tortilla española
emoji | en | Thanks! How do I reset my password? 😊 | How do I reset my password?
emoji | en | Best pizza in town 🍕🍕 | Best pizza in town 🍕
case | en | what is the capital of france | What is the capital of France?
case | en | How do I learn python? | How do I learn Python?
case | en | HOW DO I RESET MY PASSWORD? | How do I reset my password?
case | en | best time to visit turkey | Best time to visit Turkey
question words | en | How can I contact support? | How do I contact support?
question words | en | Which is the longest river in Asia? | What is the longest river in Asia?
question words | en | What is the cost of a passport? | How much does a passport cost?
politeness | en | Could you please tell me how to boil an egg? | How do I boil an egg?
politeness | en | Hi, what are your opening hours? | What are your opening hours?
plain | en | What is the best way to learn to swim? | What's the best way of learning to swim?
plain | en | Tips for sleeping better | Tips for better sleep
plain | en | How do I remove a coffee stain? | How do I get rid of a coffee stain?
plain | en | How to lose weight quickly | How can I lose weight fast?
plain | en | Why is the sky blue? | What makes the sky blue?
plain | en | My phone does not charge | My phone won't charge
numbers | de | Wie viele Kalorien haben zwei Eier? | Wie viele Kalorien haben 2 Eier?
plain | de | Wie kann ich mein Passwort zurücksetzen? | Wie setze ich mein Passwort zurück?
antonyms | de | Wie verkaufe ich mein Auto? | Wie kann ich mein Auto verkaufen?
negation | de | Warum startet mein Auto nicht? | Weshalb startet mein Auto nicht?
places | de | Was ist die Hauptstadt von Frankreich? | Wie heißt die Hauptstadt von Frankreich?
plain | fr | Comment réinitialiser mon mot de passe ? | Comment puis-je réinitialiser mon mot de passe ?
negation | fr | Pourquoi mon téléphone ne charge pas ? | Pourquoi mon téléphone ne se charge pas ?
places | fr | Quelle est la capitale de l'Espagne ? | C'est quoi la capitale de l'Espagne ?
numbers | fr | Une recette pour 4 personnes | Une recette pour quatre personnes
plain | es | ¿Cómo restablezco mi contraseña? | ¿Cómo puedo restablecer mi contraseña?
negation | es | ¿Por qué no enciende mi teléfono? | ¿Por qué mi teléfono no enciende?
places | es | ¿Cuál es la capital de Alemania? | ¿Qué ciudad es la capital de Alemania?
plain | pt | Como redefinir minha senha? | Como posso redefinir a minha senha?
negation | pt | Por que meu celular não carrega? | Por que o meu celular não está carregando?
numbers | pt | Receita de bolo para cinco pessoas | Receita de bolo para 5 pessoas
plain | it | Come posso reimpostare la password? | Come si reimposta la password?
negation | it | Perché il mio telefono non si carica? | Perché il telefono non si carica?
places | it | Qual è la capitale della Francia? | Quale città è la capitale della Francia?
plain | nl | Hoe stel ik mijn wachtwoord opnieuw in? | Hoe kan ik mijn wachtwoord opnieuw instellen?
negation | nl | Waarom start mijn auto niet? | Waarom wil mijn auto niet starten?
plain | pl | Jak zresetować hasło? | W jaki sposób zresetować hasło?
negation | pl | Dlaczego mój telefon się nie ładuje? | Czemu mój telefon się nie ładuje?
places | pl | Jaka jest stolica Niemiec? | Co jest stolicą Niemiec?
plain | ru | Как сбросить пароль? | Как мне сбросить пароль?
negation | ru | Почему телефон не заряжается? | Почему мой телефон не заряжается?
plain | zh | 如何重置密码？ | 怎么重置密码？
numbers | zh | 五个苹果多少钱？ | 5个苹果多少钱？
swapped | zh | 苹果和橙子哪个好？ | 橙子和苹果哪个好？
plain | ja | パスワードをリセットする方法は？ | パスワードのリセット方法を教えて
numbers | ja | りんごを3個買う | りんごを３個買う
places | ja | フランスの首都はどこですか？ | フランスの首都は？
"""
)

HELD_OUT_TRAPS = read_pairs(
    r"""
numbers | en | My child is 4 years old, what should she eat? | My child is 9 years old, what should she eat?
numbers | en | Name the top five exporters of tin | Name the top twelve exporters of tin
numbers | en | What is the square root of 144? | What is the square root of 169?
units | en | How long is 40 inches? | How long is 40 feet?
units | en | Bake the cake at 180 C | Bake the cake at 180 F
units | en | I need a 500 GB drive | I need a 500 MB drive
dates | en | Weather in August | Weather in November
dates | en | What day was 12/03/2019? | What day was 12/04/2019?
time words | en | Who won the match yesterday? | Who won the match today?
time words | en | What was our revenue last year? | What will our revenue be next year?
time words | en | Is the shop open at 9:00? | Is the shop open at 21:00?
identifiers | en | Status of ticket INC-20391 | Status of ticket INC-20319
identifiers | en | What does parse_date do? | What does format_date do?
versions | en | Is Node 18 supported? | Is Node 20 supported?
versions | en | Release notes of 1.2.3 | Release notes of 1.3.2
urls | en | Is shop.example.com down? | Is blog.example.com down?
urls | en | Open ~/notes/todo.txt | Open ~/notes/done.txt
flags | en | What does ls -a show? | What does ls -l show?
quotes | en | Who said "less is more"? | Who said "more is more"?
code | en | What does `list.sort()` return? | What does `list.copy()` return?
operators | en | If a < b what happens? | If a > b what happens?
negation | en | Is it true that bats are blind? | Is it not true that bats are blind?
negation | en | Cake recipes with eggs | Cake recipes without eggs
prefixes | en | Is his behaviour ethical? | Is his behaviour unethical?
prefixes | en | Examples of renewable energy | Examples of nonrenewable energy
antonyms | en | Which animals are predators? | Which animals are prey?
antonyms | en | How do I mute the microphone? | How do I unmute the microphone?
antonyms | en | What makes bread rise? | What makes bread fall?
antonyms | en | The tallest building in Asia | The shortest building in Asia
antonyms | en | Is the glass half full? | Is the glass half empty?
comparatives | en | Is it better to shower before bed? | Is it better to shower after bed?
direction | en | How do I export my contacts? | How do I import my contacts?
direction | en | Upgrade from Basic to Premium | Upgrade from Premium to Basic
direction | en | kilograms to pounds | pounds to kilograms
swapped | en | Did Alice pay Bob? | Did Bob pay Alice?
swapped | en | Is the moon bigger than the sun? | Is the sun bigger than the moon?
languages | en | Write hello world in Kotlin | Write hello world in Swift
places | en | Things to do in Kyoto | Things to do in Osaka
people | en | When was Marie Curie born? | When was Niels Bohr born?
formats | en | Summarise this in three sentences | Summarise this in ten sentences
formats | en | Return the result as XML | Return the result as CSV
answer language | en | Tell me a joke in German | Tell me a joke in Polish
emoji | en | Is 🐍 dangerous? | Is 🐢 dangerous?
case | en | Can you send it to us? | Can you send it to US?
question words | en | Where do penguins sleep? | When do penguins sleep?
antonyms | de | Vorteile von Homeoffice | Nachteile von Homeoffice
numbers | de | Was kostet ein Zimmer für drei Nächte? | Was kostet ein Zimmer für sieben Nächte?
time words | fr | Les trains de lundi | Les trains de mardi
places | fr | Quel est le meilleur hôtel à Rome ? | Quel est le meilleur hôtel à Venise ?
antonyms | es | ¿Cuál es el río más largo? | ¿Cuál es el río más corto?
negation | es | ¿Puedo comer antes del examen? | ¿No puedo comer antes del examen?
direction | pt | Converter dólares para euros | Converter euros para dólares
time words | pt | O que fazer hoje em Lisboa? | O que fazer amanhã em Lisboa?
antonyms | it | Quali sono i vantaggi del treno? | Quali sono gli svantaggi del treno?
numbers | it | Un appartamento con due camere | Un appartamento con tre camere
direction | nl | Trein van Utrecht naar Gent | Trein van Gent naar Utrecht
negation | pl | Czy mogę jechać z biletem? | Czy mogę jechać bez biletu?
antonyms | ru | Как увеличить расход воды? | Как уменьшить расход воды?
places | zh | 法国的首都是哪里？ | 德国的首都是哪里？
negation | zh | 哪些水果可以吃？ | 哪些水果不可以吃？
antonyms | ja | 音量を上げる方法 | 音量を下げる方法
places | ja | ドイツの人口は？ | スペインの人口は？
"""
)

HELD_OUT_PARAPHRASES = read_pairs(
    r"""
numbers | en | My daughter is four, what should she eat? | My daughter is 4, what should she eat?
numbers | en | How many days are in 3 weeks? | How many days are there in three weeks?
numbers | en | Is 1,000,000 a prime number? | Is 1 million a prime number?
units | en | How long does it take to walk 5 km? | How long does walking 5 kilometres take?
units | en | Is 90 minutes of sport too much? | Is 1.5 hours of sport too much?
dates | en | Who was born on 1 January 1900? | Who was born on January 1, 1900?
time words | en | What's on TV tonight? | What is on TV tonight?
time words | en | Are you open on Sundays? | Are you open on a Sunday?
time words | en | Flights leaving at 7 p.m. | Flights leaving at 19:00
identifiers | en | What's the status of ticket INC-20391? | Status of ticket INC-20391
versions | en | Does Node 18 support fetch? | Is fetch supported in Node 18?
urls | en | Is https://shop.example.com down? | Is shop.example.com down?
flags | en | What does ls -a do? | What is ls -a for?
quotes | en | Who said "less is more"? | Who is the author of "less is more"?
quotes | en | What does serendipity mean? | What does "serendipity" mean?
code | en | What does `list.sort()` return? | What is the return value of list.sort()?
negation | en | Why is my internet not working? | Why isn't my internet working?
negation | en | Why can't I sleep? | Why am I unable to sleep?
negation | en | How do I stop snoring? | How can I stop snoring?
prefixes | en | Is that unethical? | Is that not ethical?
antonyms | en | How can I raise my credit score? | How do I increase my credit score?
antonyms | en | What is the quickest route home? | What is the fastest route home?
antonyms | en | How do I reduce my electricity bill? | How can I lower my electricity bill?
antonyms | en | What are the good and bad sides of fame? | What are the bad and good sides of fame?
comparatives | en | Which is cheaper, gas or electric heating? | Which is cheaper, electric or gas heating?
direction | en | How do I get from Oslo to Bergen? | How can I travel from Oslo to Bergen?
direction | en | How do I move contacts from Android to iPhone? | How can I transfer contacts from Android to iPhone?
swapped | en | Do cats and dogs get along? | Do dogs and cats get along?
swapped | en | For a beginner, which guitar is best? | Which guitar is best for a beginner?
swapped | en | What did Newton discover in 1687? | In 1687, what did Newton discover?
swapped | en | Is a tomato a fruit? | A tomato is a fruit?
swapped | en | If it rains, is the game cancelled? | Is the game cancelled if it rains?
languages | en | How do I print in C#? | How can I print in C sharp?
places | en | What is the best time to visit Japan? | When is the best time to visit Japan?
places | en | Who is the president of America? | Who is the president of the USA?
people | en | Who is Elon Musk? | Who's Elon Musk?
people | en | What is the height of Michael Jordan? | How tall is Michael Jordan?
products | en | How do I cancel Netflix? | How can I cancel my Netflix subscription?
formats | en | Summarise this text in three sentences | Give me a summary of this text in 3 sentences
formats | en | Explain it like I'm five: black holes | Explain black holes in simple terms
answer language | en | Tell me a joke in German | Tell me a German joke
accents | en | What is a piñata? | What is a pinata?
emoji | en | Good morning! What are today's specials? ☀️ | Good morning! What are today's specials?
case | en | how tall is mount everest | How tall is Mount Everest?
case | en | Where can I study Polish? | where can i study polish
question words | en | What is the price of a new iPhone? | How much is a new iPhone?
plain | en | How do I get a refund? | How can I get my money back?
plain | en | Can you recommend a good book on gardening? | What is a good book about gardening?
plain | de | Wie kündige ich mein Abo? | Wie kann ich mein Abo kündigen?
numbers | de | Was kostet ein Zimmer für drei Nächte? | Wie viel kostet ein Zimmer für 3 Nächte?
plain | fr | Comment annuler ma commande ? | Comment puis-je annuler ma commande ?
places | fr | Que visiter à Rome ? | Que faut-il visiter à Rome ?
plain | es | ¿Dónde está mi pedido? | ¿Dónde se encuentra mi pedido?
negation | es | ¿Por qué no puedo entrar? | ¿Por qué no me deja entrar?
plain | pt | Onde está o meu pedido? | Onde está meu pedido?
plain | it | Dov'è il mio ordine? | Dove si trova il mio ordine?
plain | nl | Waar is mijn bestelling? | Waar blijft mijn bestelling?
plain | pl | Gdzie jest moje zamówienie? | Gdzie znajduje się moje zamówienie?
plain | ru | Где мой заказ? | Где находится мой заказ?
numbers | ru | Сколько калорий в двух яйцах? | Сколько калорий в 2 яйцах?
plain | zh | 我的订单在哪里？ | 我的订单在哪儿？
plain | ja | 注文はどこですか？ | 私の注文はどこにありますか？
"""
)
