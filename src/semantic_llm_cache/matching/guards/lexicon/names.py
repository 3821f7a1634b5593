"""Names in a few closed families. Things end with ";", other names of one follow after "|".

Two prompts differ when each carries a name of one family that the other lacks. A word that is also an
ordinary word of English stands in `AMBIGUOUS` and counts only when it is written with a capital.
"""

from __future__ import annotations

from . import words

__all__ = ["AMBIGUOUS", "FAMILIES"]

_PROGRAMMING = """
c; r; python|python3|py|python2; java; javascript|js|java script|ecmascript|node|nodejs|node.js|node js;
typescript|ts; c++|cpp|c plus plus; c#|csharp|c sharp; golang|go|go lang; rust; ruby|rails|ruby on rails;
php; perl; swift; kotlin; scala; haskell; matlab; julia; fortran; cobol; lisp; clojure; erlang; elixir;
dart; lua; bash|shell script|shell; powershell; prolog; objective-c|objective c; visual basic|vb.net|vba|vb;
assembly|assembler; html|html5; css|css3; sql; mysql; postgresql|postgres; sqlite; mongodb; oracle; redis;
cassandra
"""

_FRAMEWORKS = """
react|reactjs|react.js; angular|angularjs; vue|vuejs|vue.js; svelte; django; flask; fastapi; laravel;
jquery; bootstrap; tensorflow; pytorch; keras; numpy; pandas; hadoop; kafka; rabbitmq; docker;
kubernetes|k8s; ansible; terraform; git; svn; ubuntu; debian; fedora; centos; windows;
macos|mac os|os x|osx|mac|macbook|macs; linux; android; ios|iphone|ipad|iphones; chrome; firefox; safari;
excel; powerpoint; photoshop; illustrator; wordpress; drupal; joomla; magento; shopify;
aws|amazon web services; azure; gcp|google cloud
"""

_COMPANIES = """
google; microsoft; apple; amazon; facebook|fb; twitter; instagram|insta; whatsapp; snapchat; tiktok;
telegram; linkedin; youtube; netflix; hulu; spotify; uber; lyft; airbnb; tesla; toyota; honda; ford; bmw;
mercedes; audi; volkswagen|vw; nissan; hyundai; samsung; huawei; xiaomi; oneplus; sony; nintendo; intel;
amd; nvidia; ibm; dell; lenovo; flipkart; snapdeal; paytm; paypal; venmo; ebay; alibaba; walmart; costco;
starbucks; mcdonalds|mcdonald's|mcdonald; kfc; pepsi; coke|coca cola|coca-cola; nike; adidas; visa;
mastercard; infosys; tcs; wipro; accenture; cognizant; deloitte; reddit; quora; wikipedia; pinterest;
tumblr; tinder; skype; gmail; yahoo; hotmail; outlook; dropbox; slack; zoom; airtel; jio; vodafone; verizon;
t-mobile; openai; anthropic; chatgpt; gemini; claude; siri; alexa; cortana; bitcoin|btc; ethereum|eth;
litecoin; boeing; airbus; nasa; isro; spacex; hdfc; icici; sbi; citibank; toefl; ielts; gre; gmat; cat exam;
upsc; neet; jee
"""

_PLACES = """
afghanistan|afghan; albania|albanian; algeria|algerian;
argentina|argentine|argentinian|argentinien|argentine; armenia|armenian;
australia|australian|australians|aussie|australien; austria|austrian|österreich|autriche|austria;
azerbaijan; bangladesh|bangladeshi; belgium|belgian|belgien|belgique|bélgica|belgio|belgië; bolivia;
brazil|brazilian|brasil|brasilien|brésil|brasile|brazilië|brazylia|brazylii|бразилия|бразилии|巴西|ブラジル;
bulgaria|bulgarian; cambodia; canada|canadian|canadians|kanada|canadá|kanadzie|канада|канаде|канады|加拿大|カナダ;
chile|chilean; china|chinese|prc|chine|cina|chiny|chinach|китай|китае|китая|中国; colombia|colombian;
croatia|croatian; cuba|cuban; cyprus; czechia|czech|czech republic;
denmark|danish|dänemark|danemark|dinamarca|danimarca|denemarken; ecuador;
egypt|egyptian|ägypten|égypte|egipto|egito|egitto|egipt|египет|египте|埃及|エジプト;
england|english|britain|british|uk|united kingdom|great britain|u.k.|großbritannien|angleterre|inglaterra|
inghilterra|engeland|anglia|anglii|англия|англии|英国|イギリス; estonia|estonian; ethiopia;
finland|finnish|finnland|finlande|finlandia|finlândia;
france|french|frankreich|francia|frança|frankrijk|francja|francji|франция|франции|францию|法国|フランス;
germany|german|germans|deutschland|allemagne|alemania|alemanha|germania|duitsland|niemcy|niemczech|германия|
германии|германию|德国|ドイツ; ghana;
greece|greek|griechenland|grèce|grecia|grécia|griekenland|grecja|grecji|греция|греции|希腊;
hungary|hungarian|ungarn|hongrie|hungría; iceland|icelandic;
india|indian|indians|indien|inde|indie|индия|индии|印度|インド; indonesia|indonesian; iran|iranian|persian;
iraq|iraqi; ireland|irish|irland|irlande|irlanda; israel|israeli;
italy|italian|italians|italien|italie|italia|itália|italië|włochy|włoszech|италия|италии|италию|意大利|イタリア;
jamaica|jamaican; japan|japanese|japon|japón|japão|giappone|japonia|japonii|япония|японии|японию|日本; jordan;
kazakhstan; kenya|kenyan; kuwait; laos; latvia; lebanon|lebanese; libya; lithuania; luxembourg;
malaysia|malaysian; mexico|mexican|mexicans|mexiko|mexique|méxico|messico|meksyk|мексика|墨西哥; mongolia;
morocco; myanmar|burma; nepal|nepali|nepalese;
netherlands|dutch|holland|niederlande|pays-bas|países bajos|holanda|olanda|nederland|holandia|нидерланды|荷兰;
new zealand; nigeria|nigerian; north korea|north korean;
norway|norwegian|norwegen|norvège|noruega|norvegia|noorwegen; pakistan|pakistani|pakistanis;
palestine|palestinian; peru|peruvian; philippines|filipino|philippine;
poland|polen|pologne|polonia|polônia|polska|polsce|polski|польша|польше|波兰|ポーランド;
portugal|portuguese|portogallo|portugalia|португалия|葡萄牙; qatar; romania|romanian;
russia|russian|russians|russland|russie|rusia|rússia|rusland|rosja|rosji|россия|россии|россию|俄罗斯|ロシア;
rwanda; saudi arabia|saudi; scotland|scottish; serbia|serbian; singapore|singaporean; slovakia; slovenia;
somalia; south africa|south african; south korea|south korean|korea|korean|韩国|韓国;
spain|spanish|spanien|espagne|españa|espanha|spagna|spanje|hiszpania|hiszpanii|испания|испании|испанию|西班牙|
スペイン; sri lanka|sri lankan; sudan;
sweden|swedish|schweden|suède|suecia|suécia|svezia|zweden|szwecja|szwecji|швеция;
switzerland|swiss|schweiz|suisse|suiza|suíça|svizzera|zwitserland|szwajcaria|瑞士|スイス; syria|syrian;
taiwan|taiwanese; tanzania; thailand|thai; turkey|turkish|türkei|turquie|turquía|turquia|turchia|turkije;
uae|united arab emirates; uganda; ukraine|ukrainian;
united states|usa|us|america|american|americans|u.s.|u.s.a|u.s|usa's|美国|アメリカ|сша; uruguay; venezuela;
vietnam|vietnamese; wales|welsh; yemen; zimbabwe; africa|african|afrika|afrique; asia|asian;
europe|european|eu|europa; antarctica; hawaii; california; texas; florida;
new york|nyc|new york city|ny|nueva york|nova york|纽约|ニューヨーク|нью-йорк; new jersey; pennsylvania; ohio;
michigan; illinois; virginia; north carolina; south carolina; arizona; colorado; oregon; nevada; utah;
alaska; massachusetts; connecticut; tennessee; kentucky; alabama; louisiana; oklahoma; minnesota; wisconsin;
missouri; kansas; iowa; maryland; indiana; idaho; montana; washington|washington dc|dc; los angeles;
san francisco|sf|bay area; san diego; san jose; seattle; portland; chicago; boston; philadelphia|philly;
houston; dallas; austin; denver; phoenix; las vegas|vegas; miami; orlando; atlanta; detroit; cleveland;
minneapolis; new orleans; nashville; toronto; vancouver; montreal|montréal; ottawa;
london|londres|londra|londen|londyn|londynu|лондон|лондона|лондоне|伦敦|ロンドン; manchester; liverpool;
edinburgh; dublin; paris|parigi|parijs|paryż|paryża|paryżu|париж|парижа|париже|巴黎|パリ; lyon; marseille;
berlin|berlín|berlim|berlino|berlijn|berlina|берлин|берлина|берлине|柏林|ベルリン;
munich|münchen|munique|monaco di baviera|monachium|мюнхен|慕尼黑|ミュンヘン; hamburg|hamburgo|amburgo; frankfurt;
cologne|köln; vienna|wien|viena|wiedeń|вена; zurich|zürich; geneva|genf|genève; madrid;
barcelona|barcellona; lisbon|lissabon|lisboa|lisbona|lisbonne; porto;
rome|rom|roma|rzym|рим|рима|риме|罗马|ローマ; milan|milano|mailand; naples|napoli; venice|venezia|venedig|venise;
florence|firenze; amsterdam; rotterdam; brussels|brüssel|bruxelles; copenhagen; stockholm; oslo; helsinki;
warsaw|warszawa|warszawy|warszawie|warschau|варшава; krakow|kraków|krakowa|krakowie; gdansk|gdańsk|gdańska;
prague|prag|praga; budapest; athens; istanbul;
moscow|moskau|moscou|moscú|mosca|moskwa|москва|москвы|москве|москву|莫斯科|モスクワ;
saint petersburg|petersburg|петербург|петербурга|петербурге; kyiv|kiev; dubai; abu dhabi; doha; cairo;
jerusalem; tel aviv; lagos; nairobi; johannesburg; cape town; mumbai|bombay; delhi|new delhi;
bangalore|bengaluru; hyderabad; chennai|madras; kolkata|calcutta; pune; ahmedabad; jaipur; lucknow; goa;
kerala; gujarat; punjab; maharashtra; karnataka; tamil nadu; bihar; kashmir; rajasthan; karachi; lahore;
islamabad; dhaka; beijing|peking|pékin|pekín|pequim|pechino|пекин|北京; shanghai|上海|шанхай; shenzhen|深圳;
guangzhou|广州; hong kong|香港; taipei; tokyo|tokio|東京|东京|токио; osaka|大阪; kyoto|京都; seoul|首尔|ソウル; bangkok;
jakarta; manila; kuala lumpur; hanoi; sydney|悉尼|シドニー; melbourne; brisbane; perth; auckland; mexico city;
sao paulo|são paulo; rio de janeiro|rio; buenos aires; bogota|bogotá; lima; santiago; havana; mars; venus;
jupiter; saturn; neptune; uranus; pluto; moon
"""

_LANGUAGES = """
hindi; urdu; bengali|bangla; tamil; telugu; marathi; gujarati; punjabi; malayalam; kannada; sanskrit; latin;
arabic; hebrew; mandarin; cantonese; swahili; esperanto; yiddish; catalan; french; german; spanish; italian;
english; japanese; korean; russian; portuguese; dutch; turkish; greek; swedish; norwegian; danish; finnish;
hungarian; thai; vietnamese
"""

_PEOPLE = """
trump|donald trump; clinton|hillary|hillary clinton|bill clinton; obama|barack obama; biden; sanders|bernie;
putin; modi|narendra modi; gandhi|mahatma gandhi; nehru; kejriwal; merkel; macron; hitler; stalin; lenin;
churchill; napoleon; caesar; lincoln; kennedy|jfk; reagan; nixon; einstein; newton; darwin; galileo;
hawking; feynman; edison; musk|elon musk; bezos; zuckerberg; buffett; shakespeare; dickens; tolkien;
rowling; tolstoy|толстой|толстого; dostoevsky|достоевский|достоевского; mozart; beethoven; bach; chopin;
picasso; rembrandt; messi; ronaldo; neymar; kohli; dhoni; tendulkar; federer; nadal; djokovic; beyonce;
rihanna; eminem; batman; superman; spiderman|spider-man; voldemort; gandalf; goku; naruto; plato; aristotle;
socrates; nietzsche; kant; marx; freud; jesus; muhammad; buddha; krishna; shiva
"""

_SMALL_THINGS = """
dog|dogs|puppy|puppies; cat|cats|kitten|kittens; horse|horses; cow|cows; pig|pigs; sheep; rabbit|rabbits
"""

_COLOURS = """
red; blue; green; yellow; purple; orange; pink; brown; black; white; grey|gray
"""


def _family(text: str) -> dict[tuple[str, ...], str]:
    table: dict[tuple[str, ...], str] = {}
    for line in text.split(";"):
        names = [name.strip() for name in line.split("|")]
        for name in names:
            table[tuple(name.split())] = names[0]
    return table


FAMILIES: dict[str, dict[tuple[str, ...], str]] = {
    "programming language": _family(_PROGRAMMING),
    "software": _family(_FRAMEWORKS),
    "company": _family(_COMPANIES),
    "place": _family(_PLACES),
    "language": _family(_LANGUAGES),
    "person": _family(_PEOPLE),
    "animal": _family(_SMALL_THINGS),
    "colour": _family(_COLOURS),
}

AMBIGUOUS = words(
    "go c r swift rust ruby dart node shell assembly oracle cassandra pandas react slack zoom apple "
    "amazon visa ford insta outlook us turkey china jordan chile polish nice phoenix rio lima moon mars "
    "mercury georgia may jobs gates newton bach shell julia safari chrome windows excel bootstrap express "
    "gemini claude perth florence orlando ny virginia austin lincoln washington rom praga marx kant "
    "sanders french python java perl scala swiss danish orange cow pig rent venus dc eu indie prag inde "
    "porto santiago sf roma cat cats tcs sbi gre jee illustrator python ruby goa bart moon macs mac lyon "
    "roma"
) - words("python java french danish swiss french roma moon cat cats perl scala dc")
