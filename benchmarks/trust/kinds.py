"""Pairs that differ in a label, a quantifier, an opposite, a role or a negation, and honest rewordings beside them.

All written for this project, before the rules that tell them apart. `APART` must be kept apart, `ALIKE` must still
match; the `HELD_OUT_` halves were not looked at while the rules were made. The halves are the even and the odd rows of
lists written in one go. `OTHER_LANGUAGES` holds questions and their negations in languages without word lists.
"""

from __future__ import annotations

from .traps import read_pairs

__all__ = ["ALIKE", "APART", "HELD_OUT_ALIKE", "HELD_OUT_APART", "OTHER_LANGUAGES"]

_ALL_APART = read_pairs(
    r"""
label | en | What are the symptoms of hepatitis A? | What are the symptoms of hepatitis B?
label | en | How is hepatitis B transmitted? | How is hepatitis C transmitted?
label | en | What does section 4 of the contract say? | What does section 4A of the contract say?
label | en | Who is in group A of the tournament? | Who is in group E of the tournament?
label | en | Does this laptop charge over USB-A? | Does this laptop charge over USB-C?
label | en | What is the role of Na in nerve cells? | What is the role of Na+ in nerve cells?
label | en | Is H2O safe to drink? | Is H2O2 safe to drink?
label | en | Is the RTX 4070 good for gaming? | Is the RTX 4070 Ti good for gaming?
label | en | How much is the iPhone 15? | How much is the iPhone 15 Pro?
label | en | Which foods contain vitamin C? | Which foods contain vitamin D?
label | en | What is a type 1 error? | What is a type 2 error?
label | en | What causes type A influenza? | What causes type B influenza?
label | en | What happened in World War I? | What happened in World War II?
label | en | Summarize chapter IV of the book | Summarize chapter VI of the book
label | en | Who was Henry V? | Who was Henry VI?
label | en | What is a class C license? | What is a class D license?
label | en | Who can get a visa of category H-1B? | Who can get a visa of category H-2B?
label | en | What does Plan A of the insurance cover? | What does Plan B of the insurance cover?
label | en | What is CO used for? | What is CO2 used for?
label | en | Is SO2 dangerous? | Is SO3 dangerous?
label | en | What is the charge of Fe2+? | What is the charge of Fe3+?
label | en | When does gate B close? | When does gate C close?
label | en | Explain appendix B | Explain appendix C
label | en | What does model S cost? | What does model X cost?
label | en | What is blood type A? | What is blood type AB?
label | en | Is a grade B bad? | Is a grade D bad?
label | en | What is the C language used for? | What is the D language used for?
label | en | What is the difference between C and C++? | What is the difference between C and C#?
label | en | Is the Galaxy S24 waterproof? | Is the Galaxy S24 Ultra waterproof?
label | en | Is the Pixel 8 worth it? | Is the Pixel 8a worth it?
label | en | Which bus stops at platform 3A? | Which bus stops at platform 3B?
label | en | What is omega 3 good for? | What is omega 6 good for?
label | en | What does factor V do in blood clotting? | What does factor X do in blood clotting?
label | en | Who plays in Serie A? | Who plays in Serie B?
label | en | What is an S corporation? | What is a C corporation?
label | en | How do I fill in form W-2? | How do I fill in form W-4?
label | en | What is a T cell? | What is a B cell?
label | en | What is schedule C for? | What is schedule E for?
label | en | What is Type-II diabetes? | What is Type-I diabetes?
label | en | How big is an A4 sheet? | How big is an A5 sheet?
label | de | Wie wird Hepatitis A übertragen? | Wie wird Hepatitis C übertragen?
label | fr | Quels aliments contiennent de la vitamine B? | Quels aliments contiennent de la vitamine D?
quantity | en | Can I bring my dog? | Can I bring only my dog?
quantity | en | Do all birds fly? | Do some birds fly?
quantity | en | Do I need all of these documents? | Do I need any of these documents?
quantity | en | Are most snakes venomous? | Are all snakes venomous?
quantity | en | Can both parents sign? | Can either parent sign?
quantity | en | Do both parents have to sign? | Does one parent have to sign?
quantity | en | Do I need at least one reference? | Do I need at most one reference?
quantity | en | Is it always raining in Seattle? | Is it sometimes raining in Seattle?
quantity | en | Should I always reboot after an update? | Should I sometimes reboot after an update?
quantity | en | May I leave early? | Must I leave early?
quantity | en | Can I wear a helmet? | Must I wear a helmet?
quantity | en | Do I have to pay in cash? | Can I pay in cash?
quantity | en | Does every employee get a bonus? | Does any employee get a bonus?
quantity | en | Does each room have a window? | Does any room have a window?
quantity | en | Are neither of the answers right? | Are both of the answers right?
quantity | en | Is the museum open every day? | Is the museum open some days?
quantity | en | Delete all files in the folder | Delete some files in the folder
quantity | en | List all users | List any user
quantity | en | Should I take both pills? | Should I take either pill?
quantity | en | Is it possible that he will win? | Is it certain that he will win?
quantity | en | Does it usually snow in March? | Does it always snow in March?
quantity | en | Are a few errors acceptable? | Are many errors acceptable?
quantity | en | Is the pool free for all guests? | Is the pool free for some guests?
quantity | en | Can anyone apply for the grant? | Can everyone win the grant?
quantity | en | Are students required to live on campus? | Are students allowed to live on campus?
quantity | en | Should you wash chicken before cooking? | Must you wash chicken before cooking?
quantity | en | Is a passport optional for the trip? | Is a passport mandatory for the trip?
quantity | en | Remove the first match | Remove every match
quantity | en | Does the offer apply to some products? | Does the offer apply to most products?
quantity | en | Can I get a partial refund? | Can I get a full refund?
opposite | en | What is the latitude of Rome? | What is the longitude of Rome?
opposite | en | What is nominal GDP? | What is real GDP?
opposite | en | What is gross income? | What is net income?
opposite | en | How do I record a credit in the ledger? | How do I record a debit in the ledger?
opposite | en | What is upstream of the dam? | What is downstream of the dam?
opposite | en | What is a horizontal merger? | What is a vertical merger?
opposite | en | What is systolic blood pressure? | What is diastolic blood pressure?
opposite | en | Explain stack allocation | Explain heap allocation
opposite | en | What is mitosis? | What is meiosis?
opposite | en | What is a convex lens used for? | What is a concave lens used for?
opposite | en | What is a mean in statistics? | What is a median in statistics?
opposite | en | What does the left ventricle do? | What does the right ventricle do?
opposite | en | How does a bull market start? | How does a bear market start?
opposite | en | What is kinetic energy? | What is potential energy?
opposite | en | Explain supervised learning | Explain unsupervised learning
opposite | en | What is a stalactite? | What is a stalagmite?
opposite | en | What is a monocot? | What is a dicot?
opposite | en | What is alternating current? | What is direct current?
opposite | en | What is civil law? | What is criminal law?
opposite | en | What is microeconomics? | What is macroeconomics?
opposite | en | What is a prokaryote? | What is a eukaryote?
opposite | en | What is the numerator of a fraction? | What is the denominator of a fraction?
opposite | en | What is a warm front? | What is a cold front?
opposite | en | How do I encode a URL? | How do I decode a URL?
opposite | en | What is an afferent nerve? | What is an efferent nerve?
opposite | en | What is hypertension? | What is hypotension?
opposite | en | What are symptoms of hyperthyroidism? | What are symptoms of hypothyroidism?
opposite | en | What is the wholesale price? | What is the retail price?
opposite | en | What is a fixed rate mortgage? | What is a variable rate mortgage?
opposite | en | What is a secured loan? | What is an unsecured loan?
opposite | en | What is aerobic respiration? | What is anaerobic respiration?
opposite | en | What is extrinsic motivation? | What is intrinsic motivation?
opposite | en | Explain white box testing | Explain black box testing
opposite | en | Is this dress for the evening formal or casual, I want formal | Is this dress for the evening formal or
  casual, I want casual
opposite | en | What is inbound marketing? | What is outbound marketing?
opposite | en | What is a primary school? | What is a secondary school?
opposite | en | How do I merge cells in Excel? | How do I split cells in Excel?
opposite | en | How do I mute a user? | How do I unmute a user?
opposite | en | How do I freeze my card? | How do I unfreeze my card?
opposite | en | How do I hide a column? | How do I unhide a column?
opposite | en | What is a debit card? | What is a credit card?
opposite | en | What is the melting point of water? | What is the boiling point of water?
opposite | en | What is a wolf's prey? | What is a wolf's predator?
opposite | en | What are the perks of the job? | What are the downsides of the job?
opposite | en | How do I pause my subscription? | How do I cancel my subscription?
opposite | en | How do I lighten my hair? | How do I darken my hair?
opposite | en | When is high tide in Dover? | When is low tide in Dover?
opposite | en | What is the apogee of the moon? | What is the perigee of the moon?
opposite | en | What is a lagging indicator? | What is a leading indicator?
opposite | en | How do I round up in Python? | How do I round down in Python?
opposite | en | What is opt-in consent? | What is opt-out consent?
logic | en | Which pages link to this page? | Which pages does this page link to?
logic | en | Who trained the dog? | Whom did the dog train?
logic | en | Is Ann taller than Bob? | Is Bob taller than Ann?
logic | en | Does the manager report to the director? | Does the director report to the manager?
logic | en | How long after eating can I swim? | How long after swimming can I eat?
logic | en | Users with a role or a group | Users with a role and a group
logic | en | Can I eat before the blood test? | Can I eat after the blood test?
logic | en | Does smoking cause stress? | Does stress cause smoking?
logic | en | Transfer money from savings to checking | Transfer money from checking to savings
logic | en | Convert Celsius to Fahrenheit | Convert Fahrenheit to Celsius
logic | en | Translate this from Spanish to French | Translate this from French to Spanish
logic | en | Find users without a password | Find users with a password
logic | en | What is 10 divided by 2? | What is 2 divided by 10?
logic | en | What happens if I take it with food? | What happens if I take it without food?
logic | en | Explain why A implies B | Explain why B implies A
"""
)

_ALL_ALIKE = read_pairs(
    r"""
label | en | What are the symptoms of hepatitis A? | What are hepatitis A symptoms?
label | en | How do I treat hepatitis B? | How can I treat hepatitis B?
label | en | What does section 4A of the contract say? | What is in section 4A of the contract?
label | en | Does this laptop charge over USB-C? | Can this laptop be charged over USB C?
label | en | Is H2O2 safe to drink? | Is it safe to drink H2O2?
label | en | Is the RTX 4070 Ti good for gaming? | Is an RTX 4070 Ti good for gaming?
label | en | How much is the iPhone 15 Pro? | What does the iPhone 15 Pro cost?
label | en | Which foods contain vitamin C? | Which foods have vitamin C?
label | en | What happened in World War II? | What happened in World War 2?
label | en | Who was Henry VIII? | Who was Henry the 8th?
label | en | Is a B a good grade? | Is B a good grade?
label | en | What is a good plan for a trip? | What is a good plan for trips?
label | en | Which group is I in? | What group is I in?
label | en | Can I be a type designer? | Can I become a type designer?
label | en | Is a section a part of a chapter? | Is a section part of a chapter?
label | en | In which group am I? | Which group am I in?
label | en | What is the C language used for? | What is the C programming language used for?
label | en | What does model S cost? | How much does the model S cost?
label | en | When does gate B close? | When is gate B closing?
label | en | Explain appendix B | Please explain appendix B
label | en | What is a T cell? | What are T cells?
label | en | What is an A/B test? | What is A/B testing?
label | en | What is a Pro account? | What is the Pro account?
label | en | What are Mini Coopers like? | What is a Mini Cooper like?
label | en | What is CO2? | What is carbon dioxide (CO2)?
label | en | How do I fill in form W-2? | How do I fill out a W-2 form?
label | en | Which vitamins does an egg have? | What vitamins are in an egg?
label | en | How big is an A4 sheet? | What is the size of A4 paper?
label | de | Wie wird Hepatitis A übertragen? | Wie überträgt sich Hepatitis A?
label | fr | Quels aliments contiennent de la vitamine D? | Quels aliments contiennent la vitamine D?
quantity | en | What are all the planets? | What are the planets?
quantity | en | Do all birds fly? | Does every bird fly?
quantity | en | Are there any good restaurants here? | Are there good restaurants here?
quantity | en | What are some good books? | What are good books?
quantity | en | What are some of the best beaches in Spain? | What are the best beaches in Spain?
quantity | en | Can I pay in cash? | May I pay in cash?
quantity | en | Could I return a product? | Can I return a product?
quantity | en | Do I have to pay in cash? | Do I need to pay in cash?
quantity | en | Do I have to pay in cash? | Must I pay in cash?
quantity | en | Am I allowed to leave early? | May I leave early?
quantity | en | Is there any way to reset my password? | Is there a way to reset my password?
quantity | en | Are both parents required to sign? | Do both parents have to sign?
quantity | en | Does each room have a window? | Does every room have a window?
quantity | en | Should I always reboot after an update? | Do I always need to reboot after an update?
quantity | en | I just want to know how to reset my password | I want to know how to reset my password
quantity | en | How can I just cancel my order? | How can I cancel my order?
quantity | en | What should I do in Rome? | What can I do in Rome?
quantity | en | What can I do to sleep better? | What should I do to sleep better?
quantity | en | What must I see in Paris? | What should I see in Paris?
quantity | en | How do I delete all files in a folder? | How can I delete every file in a folder?
quantity | en | Can anyone tell me how photosynthesis works? | How does photosynthesis work?
quantity | en | Can someone explain recursion? | Can anybody explain recursion?
quantity | en | List all users | List every user
quantity | en | List all the countries in Africa | List the countries in Africa
quantity | en | Is it possible to get a refund? | Can I get a refund?
quantity | en | Which is best, tea or coffee? | Which one is best, tea or coffee?
quantity | en | What is the best way to learn any language? | What is the best way to learn a language?
quantity | en | Is there a full moon today? | Is today a full moon?
quantity | en | How many people live in Japan? | How many people are living in Japan?
quantity | en | Why do most startups fail? | Why do the majority of startups fail?
opposite | en | What is the latitude of Rome? | What latitude is Rome at?
opposite | en | What is nominal GDP? | What does nominal GDP mean?
opposite | en | What is the difference between gross and net income? | What is the difference between net and gross
  income?
opposite | en | What do latitude and longitude mean? | What is the meaning of longitude and latitude?
opposite | en | What is a credit card? | What are credit cards?
opposite | en | What is the real reason for inflation? | What is the true reason for inflation?
opposite | en | What are the perks of the job? | What are the benefits of the job?
opposite | en | How do I merge cells in Excel? | How can I merge cells in Excel?
opposite | en | What is the right way to tie a tie? | What is the correct way to tie a tie?
opposite | en | How do I split a string? | How can I split a string?
opposite | en | What is the mean of these numbers? | What is the average of these numbers?
opposite | en | What does potential mean? | What is the meaning of potential?
opposite | en | What is the primary cause of inflation? | What is the main cause of inflation?
opposite | en | What is the cold war? | What was the cold war?
opposite | en | When is high tide in Dover? | What time is high tide in Dover?
opposite | en | How do I cancel my subscription? | How do I end my subscription?
opposite | en | How do I stop my subscription? | How do I cancel my subscription?
opposite | en | How do I round up in Python? | How to round up in Python?
opposite | en | Is white wine better with fish? | Is white wine good with fish?
opposite | en | What is direct flight? | What is a direct flight?
logic | en | Which pages link to this page? | What pages link to this page?
logic | en | Does stress cause headaches? | Are headaches caused by stress?
logic | en | Convert Celsius to Fahrenheit | How do I convert Celsius to Fahrenheit?
logic | en | How long after eating can I swim? | How long should I wait to swim after eating?
logic | en | Translate from Spanish to French | Translate to French from Spanish
logic | en | Are cats and dogs friends? | Are dogs and cats friends?
logic | en | Can I eat before the blood test? | May I eat before a blood test?
logic | en | Is Ann taller than Bob? | Is Bob shorter than Ann?
logic | en | What is 10 divided by 2? | What is 10 / 2?
logic | en | How far is Rome from Milan? | How far is Milan from Rome?
"""
)

APART, HELD_OUT_APART = _ALL_APART[::2], _ALL_APART[1::2]
ALIKE, HELD_OUT_ALIKE = _ALL_ALIKE[::2], _ALL_ALIKE[1::2]

OTHER_LANGUAGES = read_pairs(
    r"""
negation | hi | क्या यह पानी पीने के लिए सुरक्षित है? | क्या यह पानी पीने के लिए सुरक्षित नहीं है?
negation | ar | هل هذا الماء آمن للشرب؟ | هل هذا الماء غير آمن للشرب؟
negation | he | האם המים האלה בטוחים לשתייה? | האם המים האלה לא בטוחים לשתייה?
negation | el | Είναι αυτό το νερό ασφαλές; | Δεν είναι αυτό το νερό ασφαλές;
negation | tr | Bu su içmek için güvenli mi? | Bu su içmek için güvenli değil mi?
negation | sv | Är det säkert att dricka vattnet? | Är det inte säkert att dricka vattnet?
negation | da | Er det sikkert at drikke vandet? | Er det ikke sikkert at drikke vandet?
negation | no | Kan jeg spise dette kjøttet? | Kan jeg ikke spise dette kjøttet?
negation | fi | Voinko juoda tätä vettä? | Enkö voi juoda tätä vettä?
negation | cs | Mohu pít tuto vodu? | Nemohu pít tuto vodu?
negation | hu | Ihatom ezt a vizet? | Nem ihatom ezt a vizet?
negation | ro | Pot să beau această apă? | Nu pot să beau această apă?
negation | ko | 이 물을 마셔도 됩니까? | 이 물을 마시면 안 됩니까?
negation | vi | Tôi có thể uống nước này không? | Tôi không thể uống nước này sao?
negation | id | Apakah air ini aman untuk diminum? | Apakah air ini tidak aman untuk diminum?
negation | th | น้ำนี้ดื่มได้ไหม | น้ำนี้ดื่มไม่ได้ใช่ไหม
negation | uk | Чи можна пити цю воду? | Чи не можна пити цю воду?
negation | bn | এই পানি কি নিরাপদ? | এই পানি কি নিরাপদ নয়?
negation | sw | Je, maji haya ni salama kunywa? | Je, maji haya si salama kunywa?
negation | fa | آیا این آب برای نوشیدن امن است؟ | آیا این آب برای نوشیدن امن نیست؟
negation | ta | இந்த தண்ணீர் குடிக்க பாதுகாப்பானதா? | இந்த தண்ணீர் குடிக்க பாதுகாப்பானது இல்லையா?
negation | ca | Puc beure aquesta aigua? | No puc beure aquesta aigua?
negation | hr | Mogu li piti ovu vodu? | Ne mogu li piti ovu vodu?
negation | bg | Мога ли да пия тази вода? | Не мога ли да пия тази вода?
negation | tl | Puwede ko bang inumin ang tubig na ito? | Hindi ko ba puwedeng inumin ang tubig na ito?
numbers | sv | Hur många dagar har två veckor? | Hur många dagar har tre veckor?
numbers | tr | İki hafta kaç gün eder? | Üç hafta kaç gün eder?
numbers | fi | Montako päivää on kahdessa viikossa? | Montako päivää on kolmessa viikossa?
numbers | cs | Kolik dní mají dva týdny? | Kolik dní mají tři týdny?
numbers | id | Berapa hari dalam dua minggu? | Berapa hari dalam tiga minggu?
"""
)
